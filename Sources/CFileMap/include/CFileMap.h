// Calls about files of a mounted file system that Swift cannot make: ioctls,
// variadic calls, calls without a libc wrapper. The system's headers stay in
// CFileMap.c, so that no type of theirs is seen by Swift in two modules.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Every call gives -1 and sets errno on failure, unless it says otherwise.

// A flag of open(2) that glibc defines for _GNU_SOURCE only.
extern const int cfilemap_o_path;
// AT_EMPTY_PATH of the calls with names below a directory.
extern const int cfilemap_at_empty_path;

struct cfilemap_time {
  int64_t seconds;
  uint32_t nanoseconds;
};

// What statx(2) tells of an open file.
struct cfilemap_status {
  uint64_t inode;
  // 0 where the kernel has none to tell (before 5.8).
  uint64_t mount;
  // Of the device that the file system is on.
  uint32_t device_major, device_minor;
  uint32_t mode, links, owner, group;
  // Of a device node.
  uint32_t special_major, special_minor;
  uint64_t size;
  // Units of 512 bytes.
  uint64_t blocks;
  struct cfilemap_time accessed, modified, changed, created;
  // Whether the file system keeps a birth time.
  int has_created;
};

int cfilemap_look(int fd, struct cfilemap_status *status);

// f_type of statfs(2), and whether statvfs(3) shows the file system read-only.
int cfilemap_file_system(int fd, int64_t *type, int *is_read_only);

// syncfs(2).
int cfilemap_sync(int fd);

// A private mount of an open directory (open_tree(2), mount_setattr(2)) that does not
// see what is mounted below it and updates no access times. With `ignore_read_only`
// the mount itself is never read-only, so that statvfs(3) tells whether the file
// system's superblock is. A descriptor that cannot be read from: openat(2) "." from it.
int cfilemap_private_mount(int directory, int ignore_read_only);

// Inode number and generation (name_to_handle_at(2)) of an open file (`name` is "") or
// of a directory's entry, which is not followed. EOPNOTSUPP when the file system's
// handles are neither FILEID_INO32_GEN (linux/exportfs.h) nor XFS's with 64 bits
// (fs/xfs/xfs_export.h).
int cfilemap_identify(int directory, const char *name, uint64_t *inode, uint32_t *generation);

// Opens an inode (open_by_handle_at(2)) on the mount of an open directory; ESTALE when
// there is none of this generation.
int cfilemap_open_inode(int directory, int is_xfs, uint64_t inode, uint32_t generation, int flags);

// A run of a file as FIEMAP tells it (linux/fiemap.h): bytes.
struct cfilemap_extent {
  uint64_t logical;
  uint64_t physical;
  uint64_t length;
  uint32_t flags;
};

// FIEMAP_EXTENT_…
enum {
  cfilemap_last = 0x1,
  cfilemap_unknown = 0x2,
  cfilemap_delayed = 0x4,
  cfilemap_encoded = 0x8,
  cfilemap_encrypted = 0x80,
  cfilemap_not_aligned = 0x100,
  cfilemap_inline = 0x200,
  cfilemap_tail = 0x400,
  cfilemap_unwritten = 0x800,
};

// The extents of a range of a file, after its data was written back
// (FIEMAP_FLAG_SYNC). Gives their count, at most `capacity` and at most 1024.
int cfilemap_map(int fd, uint64_t start, uint64_t length, struct cfilemap_extent *extents,
                 int capacity);

// FS_…_FL of FS_IOC_GETFLAGS (linux/fs.h).
enum {
  cfilemap_flag_immutable = 0x10,
  cfilemap_flag_encrypted = 0x800,
  cfilemap_flag_journals_data = 0x4000,
};

int cfilemap_flags(int fd, uint32_t *flags);

// Whether a file of XFS lies on the realtime device (FS_XFLAG_REALTIME).
int cfilemap_is_realtime(int fd, int *is_realtime);

// Sets or clears FS_XFLAG_IMMUTABLE and leaves the other attributes as they are.
int cfilemap_set_immutable(int fd, int is_immutable);

// FICLONE: makes all of a file share another's bytes.
int cfilemap_clone(int target, int source);

// listxattr(2), getxattr(2), setxattr(2), removexattr(2) of the file that a path leads to.
long cfilemap_list_attributes(const char *path, void *names, size_t size);
long cfilemap_get_attribute(const char *path, const char *name, void *value, size_t size);
int cfilemap_set_attribute(const char *path, const char *name, const void *value, size_t size);
int cfilemap_remove_attribute(const char *path, const char *name);
