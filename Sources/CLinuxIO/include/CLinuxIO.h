// Constants and request numbers that Swift cannot import from macros.
#pragma once
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <linux/magic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

// O_DIRECT of open(2); glibc defines it for _GNU_SOURCE only.
static inline int32_t floe_o_direct(void) {
#ifdef O_DIRECT
  return O_DIRECT;
#else
  return __O_DIRECT;
#endif
}

// The size of a block device in bytes (linux/fs.h, BLKGETSIZE64); -1 and errno on failure.
static inline int floe_block_device_size(int fd, uint64_t *size) {
  return ioctl(fd, BLKGETSIZE64, size);
}

// The logical sector size of a block device in bytes (linux/fs.h, BLKSSZGET).
static inline int floe_block_device_sector_size(int fd, int *size) {
  return ioctl(fd, BLKSSZGET, size);
}

// The type of the file system that holds a file (f_type of statfs(2)); -1 and errno on failure.
static inline int floe_file_system_type(int fd, int64_t *type) {
  struct statfs status;
  int result = fstatfs(fd, &status);
  *type = result == 0 ? status.f_type : 0;
  return result;
}

// syslog(3), which is variadic, with a finished message.
static inline void floe_syslog(int priority, const char *message) {
  syslog(priority, "%s", message);
}

// environ(7), which Swift sees as a mutable global.
extern char **environ;
static inline char **floe_environment(void) { return environ; }

// The flag of posix_spawnattr_setflags(3) that starts the child in a session of its
// own; glibc defines it for _GNU_SOURCE only, with this value.
static inline int16_t floe_posix_spawn_setsid(void) { return 0x80; }

// getxattr(2); its header would drag types along that Swift then finds twice.
long floe_getxattr(const char *path, const char *name, void *value, size_t size);
