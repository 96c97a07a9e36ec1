#define _GNU_SOURCE
#include "CKernelDevices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int set(int context, unsigned command, const char *key, const char *value) {
  return (int)syscall(SYS_fsconfig, context, command, key, value, 0);
}

static int configure(int context, const char *type, const char *device, int without_log) {
  if (set(context, FSCONFIG_SET_STRING, "source", device) != 0 ||
      set(context, FSCONFIG_SET_FLAG, "ro", NULL) != 0)
    return -1;
  if (strcmp(type, "xfs") == 0 && set(context, FSCONFIG_SET_FLAG, "nouuid", NULL) != 0)
    return -1;
  if (without_log && set(context, FSCONFIG_SET_FLAG, "norecovery", NULL) != 0)
    return -1;
  return set(context, FSCONFIG_CMD_CREATE, NULL, NULL);
}

int ckernel_mount_read_only(const char *type, const char *device, int without_log) {
  int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
  if (context < 0)
    return -1;
  int mount = -1;
  if (configure(context, type, device, without_log) == 0)
    mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                         MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                             MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME);
  int error = errno;
  close(context);
  errno = error;
  return mount;
}

static void prepare(struct dm_ioctl *request, uint32_t size, uint32_t major, uint32_t minor) {
  memset(request, 0, sizeof *request);
  request->version[0] = DM_VERSION_MAJOR;
  request->data_size = size;
  request->dev =
      ((uint64_t)minor & 0xff) | ((uint64_t)major << 8) | (((uint64_t)minor & ~0xffu) << 12);
}

int ckernel_resume(int control, uint32_t major, uint32_t minor) {
  struct dm_ioctl request;
  prepare(&request, sizeof request, major, minor);
  return ioctl(control, DM_DEV_SUSPEND, &request);
}

int ckernel_target_status(int control, uint32_t major, uint32_t minor, char *text,
                          uint32_t size) {
  union {
    struct dm_ioctl request;
    char bytes[8192];
  } data;
  prepare(&data.request, sizeof data, major, minor);
  data.request.data_start = sizeof data.request;
  data.request.flags = DM_NOFLUSH_FLAG;
  if (ioctl(control, DM_TABLE_STATUS, &data.request) != 0)
    return -1;
  if (data.request.target_count != 1 || data.request.flags & DM_BUFFER_FULL_FLAG ||
      data.request.data_start + sizeof(struct dm_target_spec) >= sizeof data) {
    errno = ENODATA;
    return -1;
  }
  struct dm_target_spec target;
  memcpy(&target, data.bytes + data.request.data_start, sizeof target);
  data.bytes[sizeof data - 1] = 0;
  int length = snprintf(text, size, "%.*s %s", (int)sizeof target.target_type, target.target_type,
                        data.bytes + data.request.data_start + sizeof target);
  if (length < 0 || (uint32_t)length >= size) {
    errno = ENODATA;
    return -1;
  }
  return 0;
}

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

int ckernel_write_for_others(void) { return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0); }

int ckernel_write_out(int directory) { return syncfs(directory); }

int ckernel_touch(int directory, int milliseconds) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    // Only what is safe after a fork of one thread of many (signal-safety(7)).
    // A lock that the parent holds must not outlive it here.
    if (dup2(directory, 0) != 0 || syscall(SYS_close_range, 1, ~0U, 0) != 0) _exit(1);
    int file = openat(0, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    _exit(file >= 0 && fsync(file) == 0 ? 0 : 1);
  }
  const struct timespec moment = {.tv_nsec = 5000000};
  for (int waited = 0; waited <= milliseconds; waited += 5) {
    int status;
    pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) {
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
      errno = EIO;
      return -1;
    }
    if (ended < 0 && errno != EINTR) return -1;
    nanosleep(&moment, NULL);
  }
  kill(child, SIGKILL);
  errno = ETIMEDOUT;
  return -1;
}

int ckernel_lock_memory(void) { return mlockall(MCL_CURRENT | MCL_FUTURE); }

int ckernel_run_first(void) {
  struct sched_param lowest = {.sched_priority = 1};
  return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest);
}
