// Constants, request numbers and calls that Swift cannot import: macros, ioctls,
// variadic functions, globals. The system's headers stay in CLinuxIO.c, so that no
// type of theirs is seen by Swift in two modules.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/sysmacros.h>

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

// Freezes a file system, and thaws it again (linux/fs.h, FIFREEZE and FITHAW); -1 and errno
// on failure, EBUSY and EINVAL when it is so already.
int floe_freeze(int fd);
int floe_thaw(int fd);

// A connected pair of sockets of AF_UNIX that are closed on exec (socketpair(2)); -1 and
// errno on failure.
int floe_socket_pair(int ends[2]);

// pidfd_open(2): a descriptor that can be read once the process has ended; -1 and errno on
// failure.
int floe_pidfd_open(int32_t process);

// memfd_create(2), closed on exec, which glibc declares for _GNU_SOURCE only.
int floe_memory_file(const char *name);

// The type of the file system that holds a file (f_type of statfs(2)); -1 and errno on failure.
int floe_file_system_type(int fd, int64_t *type);

// Whether that is a file system in this host's memory (linux/magic.h).
int floe_is_in_memory(int64_t type);

// Whether that is a file system on a disk, all of whose writes pass through this kernel
// unless another host has the same disk.
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

// fsetxattr(2).
int floe_set_attribute(int fd, const char *name, const void *value, size_t size);

// fgetxattr(2).
long floe_get_attribute(int fd, const char *name, void *value, size_t size);

// When an open file was made, in seconds and nanoseconds since 1970, and its inode number
// (statx(2)); -1 and errno on failure, ENOTSUP where the file system does not keep it.
struct floe_origin {
  uint64_t inode;
  int64_t seconds;
  uint32_t nanoseconds;
};
int floe_origin(int fd, struct floe_origin *origin);

// Makes the calling thread, and no other of the process, act on files as another user
// without any privilege: its file system user and group (setfsuid(2)), its groups, and
// no effective capabilities. 0, or -1 when it does not: the thread must not go on then.
// The first group is the user's own; there is at least one.
int floe_act_as(uint32_t user, const uint32_t *groups, size_t count);

// Whether that is FUSE: whoever mounted it decides what owners its files show.
int floe_is_fuse(int64_t type);

// The process, user and group that listen at the other end of a connected Unix socket
// (unix(7), SO_PEERCRED); -1 and errno on failure.
int floe_peer(int fd, int32_t *process, uint32_t *user);

// Connects to a Unix socket of a path; the descriptor, or -1 and errno.
int floe_connect_unix(const char *path);

// Whether a path matches a pattern in which no wildcard means a slash (fnmatch(3)).
int floe_path_matches(const char *pattern, const char *path);

// renameat2(2) with RENAME_NOREPLACE: EEXIST when the new name is in use, EINVAL where the
// file system cannot tell.
int floe_rename_to_unused(const char *old_path, const char *new_path);

// renameat2(2) inside of one directory, which replaces what has the new name only when it is
// told to: EEXIST otherwise, EINVAL where the file system cannot tell.
int floe_rename_in(int directory, const char *old_name, const char *new_name, int replaces);

// setxattr(2), listxattr(2), removexattr(2), getxattr(2): of what a path leads to.
int floe_set_entry_attribute(const char *path, const char *name, const void *value, size_t size);
long floe_list_entry_attributes(const char *path, char *names, size_t size);
int floe_remove_entry_attribute(const char *path, const char *name);
long floe_get_entry_attribute(const char *path, const char *name, void *value, size_t size);

// syncfs(2), which glibc declares for _GNU_SOURCE only.
int floe_sync_file_system(int fd);

// Whether a text matches a pattern in which wildcards mean slashes as well (fnmatch(3)).
int floe_text_matches(const char *pattern, const char *text);

// Has the calling process get a signal when the thread that started it ends (prctl(2),
// PR_SET_PDEATHSIG); -1 and errno on failure.
int floe_end_with_parent(int signal);
