#define _GNU_SOURCE
#include "CLinuxIO.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

int32_t floe_o_direct(void) { return O_DIRECT; }

int floe_block_device_size(int fd, uint64_t *size) { return ioctl(fd, BLKGETSIZE64, size); }

int floe_block_device_sector_size(int fd, int *size) { return ioctl(fd, BLKSSZGET, size); }

int floe_loop_status(int fd, struct floe_loop_status *status) {
  struct loop_info64 info;
  int result = ioctl(fd, LOOP_GET_STATUS64, &info);
  if (result != 0) return -1;
  status->device = info.lo_device;
  status->inode = info.lo_inode;
  status->offset = info.lo_offset;
  status->size_limit = info.lo_sizelimit;
  return 0;
}

int floe_pidfd_open(int32_t process) { return pidfd_open(process, 0); }

int floe_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int floe_file_system_type(int fd, int64_t *type) {
  struct statfs status;
  int result = fstatfs(fd, &status);
  *type = result == 0 ? status.f_type : 0;
  return result;
}

int floe_is_local_file_system(int64_t type) {
  switch (type) {
  case EXT4_SUPER_MAGIC:
  case BTRFS_SUPER_MAGIC:
  case XFS_SUPER_MAGIC:
  case TMPFS_MAGIC:
  case OVERLAYFS_SUPER_MAGIC:
  case F2FS_SUPER_MAGIC:
    return 1;
  default:
    return 0;
  }
}

int floe_is_open_for_writing(int fd) {
  // Whoever opens the file while the lease is held breaks it by a signal: one that is ignored
  // by default, where SIGIO would end the process.
  if (fcntl(fd, F_SETSIG, SIGURG) != 0) return -1;
  if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) return errno == EAGAIN ? 1 : -1;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return 0;
}

void floe_syslog(int priority, const char *message) { syslog(priority, "%s", message); }

char **floe_environment(void) { return environ; }

int16_t floe_posix_spawn_setsid(void) { return POSIX_SPAWN_SETSID; }

int floe_posix_spawn_close_from(void *actions, int from) {
  return posix_spawn_file_actions_addclosefrom_np(actions, from);
}

long floe_getxattr(const char *path, const char *name, void *value, size_t size) {
  return getxattr(path, name, value, size);
}
