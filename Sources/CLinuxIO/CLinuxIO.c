#define _GNU_SOURCE
#include "CLinuxIO.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
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

int floe_freeze(int fd) { return ioctl(fd, FIFREEZE, 0); }

int floe_thaw(int fd) { return ioctl(fd, FITHAW, 0); }

int floe_socket_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
}

int floe_pidfd_open(int32_t process) { return pidfd_open(process, 0); }

int floe_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int floe_file_system_type(int fd, int64_t *type) {
  struct statfs status;
  int result = fstatfs(fd, &status);
  *type = result == 0 ? status.f_type : 0;
  return result;
}

int floe_is_in_memory(int64_t type) { return type == TMPFS_MAGIC || type == RAMFS_MAGIC; }

int floe_is_local_file_system(int64_t type) {
  switch (type) {
  case EXT4_SUPER_MAGIC:
  case BTRFS_SUPER_MAGIC:
  case XFS_SUPER_MAGIC:
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

int floe_set_attribute(int fd, const char *name, const void *value, size_t size) {
  return fsetxattr(fd, name, value, size, 0);
}

long floe_get_attribute(int fd, const char *name, void *value, size_t size) {
  return fgetxattr(fd, name, value, size);
}

int floe_origin(int fd, struct floe_origin *origin) {
  struct statx found;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) != 0) return -1;
  if ((found.stx_mask & STATX_BTIME) == 0) {
    errno = ENOTSUP;
    return -1;
  }
  origin->inode = found.stx_ino;
  origin->seconds = found.stx_btime.tv_sec;
  origin->nanoseconds = found.stx_btime.tv_nsec;
  return 0;
}

// The system calls themselves: the C library's functions change every thread.
int floe_act_as(uint32_t user, const uint32_t *groups, size_t count) {
  if (count == 0 || syscall(SYS_setgroups, count, groups) != 0) return -1;
  syscall(SYS_setfsgid, groups[0]);
  syscall(SYS_setfsuid, user);
  // They give what was before, whether they did anything or not; -1 changes nothing.
  if ((uint32_t)syscall(SYS_setfsgid, -1) != groups[0]) return -1;
  if ((uint32_t)syscall(SYS_setfsuid, -1) != user) return -1;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
  return syscall(SYS_capset, &header, none) == 0 ? 0 : -1;
}

int floe_is_fuse(int64_t type) { return type == FUSE_SUPER_MAGIC; }

int floe_peer(int fd, int32_t *process, uint32_t *user) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
  *process = peer.pid;
  *user = peer.uid;
  return 0;
}

int floe_connect_unix(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

int floe_path_matches(const char *pattern, const char *path) {
  return fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0;
}

int floe_rename_to_unused(const char *old_path, const char *new_path) {
  return renameat2(AT_FDCWD, old_path, AT_FDCWD, new_path, RENAME_NOREPLACE);
}

int floe_rename_in(int directory, const char *old_name, const char *new_name, int replaces) {
  return renameat2(directory, old_name, directory, new_name, replaces ? 0 : RENAME_NOREPLACE);
}

int floe_set_entry_attribute(const char *path, const char *name, const void *value, size_t size) {
  return setxattr(path, name, value, size, 0);
}

long floe_list_entry_attributes(const char *path, char *names, size_t size) {
  return listxattr(path, names, size);
}

int floe_remove_entry_attribute(const char *path, const char *name) {
  return removexattr(path, name);
}

long floe_get_entry_attribute(const char *path, const char *name, void *value, size_t size) {
  return getxattr(path, name, value, size);
}

int floe_sync_file_system(int fd) { return syncfs(fd); }

int floe_text_matches(const char *pattern, const char *text) {
  return fnmatch(pattern, text, 0) == 0;
}

int floe_end_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }
