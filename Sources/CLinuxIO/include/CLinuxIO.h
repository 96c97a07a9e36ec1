// Constants, request numbers and calls that Swift cannot import: macros, ioctls,
// variadic functions, globals. The system's headers stay in CLinuxIO.c, so that no
// type of theirs is seen by Swift in two modules.
#pragma once
#include <stddef.h>
#include <stdint.h>

// O_DIRECT of open(2), which glibc defines for _GNU_SOURCE only.
int32_t floe_o_direct(void);

// The size of a block device in bytes (linux/fs.h, BLKGETSIZE64); -1 and errno on failure.
int floe_block_device_size(int fd, uint64_t *size);

// The logical sector size of a block device in bytes (linux/fs.h, BLKSSZGET).
int floe_block_device_sector_size(int fd, int *size);

// What a loop device reads (linux/loop.h, LOOP_GET_STATUS64).
struct floe_loop_status {
  uint64_t device;      // st_dev and st_ino of the file
  uint64_t inode;
  uint64_t offset;      // bytes
  uint64_t size_limit;  // bytes; 0: to the file's end
};

// The status of the loop device, or of the one whose partition this is; -1 and errno
// on failure.
int floe_loop_status(int fd, struct floe_loop_status *status);

// pidfd_open(2): a descriptor that can be read once the process has ended; -1 and errno on
// failure.
int floe_pidfd_open(int32_t process);

// memfd_create(2), closed on exec, which glibc declares for _GNU_SOURCE only.
int floe_memory_file(const char *name);

// The type of the file system that holds a file (f_type of statfs(2)); -1 and errno on failure.
int floe_file_system_type(int fd, int64_t *type);

// Whether that is a file system all of whose writes pass through this kernel, so that
// its page cache is coherent (linux/magic.h).
int floe_is_local_file_system(int64_t type);

// Whether anybody has a regular file open for writing, as a lease for reading tells
// (fcntl(2), F_SETLEASE): 1 or 0; -1 and errno where no lease can be had: only the file's
// owner and root can, not on every file system. The descriptor is open for reading only.
int floe_is_open_for_writing(int fd);

// syslog(3), which is variadic, with a finished message.
void floe_syslog(int priority, const char *message);

// environ(7), which Swift sees as a mutable global.
char **floe_environment(void);

// The flag of posix_spawnattr_setflags(3) that starts the child in a session of its
// own, which glibc defines for _GNU_SOURCE only.
int16_t floe_posix_spawn_setsid(void);

// posix_spawn_file_actions_addclosefrom_np(3) on a posix_spawn_file_actions_t.
int floe_posix_spawn_close_from(void *actions, int from);

// getxattr(2).
long floe_getxattr(const char *path, const char *name, void *value, size_t size);
