#define _GNU_SOURCE
#include "CFileMap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

const int cfilemap_o_path = O_PATH;
const int cfilemap_at_empty_path = AT_EMPTY_PATH;

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif

static struct cfilemap_time time_of(struct statx_timestamp stamp) {
  return (struct cfilemap_time){.seconds = stamp.tv_sec, .nanoseconds = stamp.tv_nsec};
}

int cfilemap_look(int fd, struct cfilemap_status *status) {
  struct statx found;
  memset(&found, 0, sizeof found);
  unsigned wanted = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
  if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, wanted, &found) != 0)
    return -1;
  *status = (struct cfilemap_status){
      .inode = found.stx_ino,
      .mount = found.stx_mask & STATX_MNT_ID ? found.stx_mnt_id : 0,
      .device_major = found.stx_dev_major,
      .device_minor = found.stx_dev_minor,
      .mode = found.stx_mode,
      .links = found.stx_nlink,
      .owner = found.stx_uid,
      .group = found.stx_gid,
      .special_major = found.stx_rdev_major,
      .special_minor = found.stx_rdev_minor,
      .size = found.stx_size,
      .blocks = found.stx_blocks,
      .accessed = time_of(found.stx_atime),
      .modified = time_of(found.stx_mtime),
      .changed = time_of(found.stx_ctime),
      .created = time_of(found.stx_btime),
      .has_created = (found.stx_mask & STATX_BTIME) != 0,
  };
  return 0;
}

int cfilemap_file_system(int fd, int64_t *type, int *is_read_only) {
  struct statfs kind;
  struct statvfs state;
  if (fstatfs(fd, &kind) != 0 || fstatvfs(fd, &state) != 0)
    return -1;
  *type = kind.f_type;
  *is_read_only = (state.f_flag & ST_RDONLY) != 0;
  return 0;
}

int cfilemap_sync(int fd) { return syncfs(fd); }

int cfilemap_private_mount(int directory, int ignore_read_only) {
  int fd = (int)syscall(SYS_open_tree, directory, "",
                        AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0)
    return -1;
  struct mount_attr change = {
      .attr_set = MOUNT_ATTR_NOATIME,
      .attr_clr = MOUNT_ATTR__ATIME | (ignore_read_only ? MOUNT_ATTR_RDONLY : 0),
  };
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &change, sizeof change) != 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

enum {
  inode32_generation = 1,
  xfs_inode64_generation = 0x81,
  most_handle_bytes = 128,
};

union handle {
  struct file_handle header;
  unsigned char room[sizeof(struct file_handle) + most_handle_bytes];
};

static unsigned char *bytes_of(union handle *handle) {
  return handle->room + offsetof(struct file_handle, f_handle);
}

int cfilemap_identify(int directory, const char *name, uint64_t *inode, uint32_t *generation) {
  union handle handle;
  memset(&handle, 0, sizeof handle);
  handle.header.handle_bytes = most_handle_bytes;
  int mount;
  if (name_to_handle_at(directory, name, &handle.header, &mount, AT_EMPTY_PATH) != 0)
    return -1;
  if (handle.header.handle_type == inode32_generation && handle.header.handle_bytes >= 8) {
    uint32_t small;
    memcpy(&small, bytes_of(&handle), sizeof small);
    *inode = small;
    memcpy(generation, bytes_of(&handle) + 4, sizeof *generation);
    return 0;
  }
  if (handle.header.handle_type == xfs_inode64_generation && handle.header.handle_bytes >= 12) {
    memcpy(inode, bytes_of(&handle), sizeof *inode);
    memcpy(generation, bytes_of(&handle) + 8, sizeof *generation);
    return 0;
  }
  errno = EOPNOTSUPP;
  return -1;
}

int cfilemap_open_inode(int directory, int is_xfs, uint64_t inode, uint32_t generation,
                        int flags) {
  union handle handle;
  memset(&handle, 0, sizeof handle);
  if (is_xfs) {
    handle.header.handle_type = xfs_inode64_generation;
    handle.header.handle_bytes = 12;
    memcpy(bytes_of(&handle), &inode, sizeof inode);
    memcpy(bytes_of(&handle) + 8, &generation, sizeof generation);
  } else {
    if (inode > UINT32_MAX) {
      errno = ESTALE;
      return -1;
    }
    uint32_t small = (uint32_t)inode;
    handle.header.handle_type = inode32_generation;
    handle.header.handle_bytes = 8;
    memcpy(bytes_of(&handle), &small, sizeof small);
    memcpy(bytes_of(&handle) + 4, &generation, sizeof generation);
  }
  return open_by_handle_at(directory, &handle.header, flags);
}

int cfilemap_map(int fd, uint64_t start, uint64_t length, struct cfilemap_extent *extents,
                 int capacity) {
  enum { most = 1024 };
  union {
    struct fiemap map;
    unsigned char room[sizeof(struct fiemap) + most * sizeof(struct fiemap_extent)];
  } buffer;
  struct fiemap *map = &buffer.map;
  memset(map, 0, sizeof *map);
  map->fm_start = start;
  map->fm_length = length;
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = capacity < most ? (uint32_t)capacity : most;
  if (ioctl(fd, FS_IOC_FIEMAP, map) != 0)
    return -1;
  const unsigned char *found = buffer.room + sizeof(struct fiemap);
  int count = map->fm_mapped_extents < map->fm_extent_count ? (int)map->fm_mapped_extents
                                                            : (int)map->fm_extent_count;
  for (int index = 0; index < count; index++) {
    struct fiemap_extent extent;
    memcpy(&extent, found + (size_t)index * sizeof extent, sizeof extent);
    extents[index] = (struct cfilemap_extent){
        .logical = extent.fe_logical,
        .physical = extent.fe_physical,
        .length = extent.fe_length,
        .flags = extent.fe_flags,
    };
  }
  return count;
}

int cfilemap_flags(int fd, uint32_t *flags) {
  // The kernel writes an int, whatever the request's number says.
  unsigned long room = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &room) != 0)
    return -1;
  memcpy(flags, &room, sizeof *flags);
  return 0;
}

int cfilemap_is_realtime(int fd, int *is_realtime) {
  struct fsxattr attributes;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0)
    return -1;
  *is_realtime = (attributes.fsx_xflags & FS_XFLAG_REALTIME) != 0;
  return 0;
}

int cfilemap_set_immutable(int fd, int is_immutable) {
  struct fsxattr attributes;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0)
    return -1;
  uint32_t flags = attributes.fsx_xflags & ~(uint32_t)FS_XFLAG_IMMUTABLE;
  if (is_immutable)
    flags |= FS_XFLAG_IMMUTABLE;
  if (flags == attributes.fsx_xflags)
    return 0;
  attributes.fsx_xflags = flags;
  return ioctl(fd, FS_IOC_FSSETXATTR, &attributes);
}

int cfilemap_clone(int target, int source) { return ioctl(target, FICLONE, source); }

long cfilemap_list_attributes(const char *path, void *names, size_t size) {
  return listxattr(path, names, size);
}

long cfilemap_get_attribute(const char *path, const char *name, void *value, size_t size) {
  return getxattr(path, name, value, size);
}

int cfilemap_set_attribute(const char *path, const char *name, const void *value, size_t size) {
  return setxattr(path, name, value, size, 0);
}

int cfilemap_remove_attribute(const char *path, const char *name) {
  return removexattr(path, name);
}
