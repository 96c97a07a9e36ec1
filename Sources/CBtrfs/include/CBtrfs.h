#pragma once

// The kernel's btrfs interface (linux/btrfs.h, linux/btrfs_tree.h) in a form that
// Swift can import: request numbers, and the places and sizes of the fields that
// are used. Arguments are laid out in byte buffers, because the kernel's structs
// hold arrays and unions that Swift imports as unwieldy tuples. No logic.

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdint.h>

static const unsigned long CBTRFS_TREE_SEARCH_V2 = BTRFS_IOC_TREE_SEARCH_V2;
static const unsigned long CBTRFS_FS_INFO = BTRFS_IOC_FS_INFO;
static const unsigned long CBTRFS_DEV_INFO = BTRFS_IOC_DEV_INFO;
static const unsigned long CBTRFS_GET_FEATURES = BTRFS_IOC_GET_FEATURES;
static const unsigned long CBTRFS_GET_LABEL = BTRFS_IOC_GET_FSLABEL;
static const unsigned long CBTRFS_SUBVOL_GETFLAGS = BTRFS_IOC_SUBVOL_GETFLAGS;
static const unsigned long CBTRFS_GET_SUBVOL_INFO = BTRFS_IOC_GET_SUBVOL_INFO;
static const unsigned long CBTRFS_SNAP_CREATE_V2 = BTRFS_IOC_SNAP_CREATE_V2;
static const unsigned long CBTRFS_SNAP_DESTROY_V2 = BTRFS_IOC_SNAP_DESTROY_V2;
static const unsigned long CBTRFS_START_SYNC = BTRFS_IOC_START_SYNC;
static const unsigned long CBTRFS_WAIT_SYNC = BTRFS_IOC_WAIT_SYNC;

static const uint64_t CBTRFS_SUBVOL_RDONLY_FLAG = BTRFS_SUBVOL_RDONLY;
static const uint64_t CBTRFS_SUBVOL_BY_ID_FLAG = BTRFS_SUBVOL_SPEC_BY_ID;
static const uint64_t CBTRFS_FS_INFO_WANTED_FLAGS =
    BTRFS_FS_INFO_FLAG_CSUM_INFO | BTRFS_FS_INFO_FLAG_GENERATION;

// struct btrfs_ioctl_search_args_v2 and struct btrfs_ioctl_search_header
enum {
  CBTRFS_SEARCH_TREE = offsetof(struct btrfs_ioctl_search_args_v2, key.tree_id),
  CBTRFS_SEARCH_MIN_OBJECT = offsetof(struct btrfs_ioctl_search_args_v2, key.min_objectid),
  CBTRFS_SEARCH_MAX_OBJECT = offsetof(struct btrfs_ioctl_search_args_v2, key.max_objectid),
  CBTRFS_SEARCH_MIN_OFFSET = offsetof(struct btrfs_ioctl_search_args_v2, key.min_offset),
  CBTRFS_SEARCH_MAX_OFFSET = offsetof(struct btrfs_ioctl_search_args_v2, key.max_offset),
  CBTRFS_SEARCH_MIN_TRANSID = offsetof(struct btrfs_ioctl_search_args_v2, key.min_transid),
  CBTRFS_SEARCH_MAX_TRANSID = offsetof(struct btrfs_ioctl_search_args_v2, key.max_transid),
  CBTRFS_SEARCH_MIN_TYPE = offsetof(struct btrfs_ioctl_search_args_v2, key.min_type),
  CBTRFS_SEARCH_MAX_TYPE = offsetof(struct btrfs_ioctl_search_args_v2, key.max_type),
  CBTRFS_SEARCH_COUNT = offsetof(struct btrfs_ioctl_search_args_v2, key.nr_items),
  CBTRFS_SEARCH_BUFFER_SIZE = offsetof(struct btrfs_ioctl_search_args_v2, buf_size),
  CBTRFS_SEARCH_BUFFER = sizeof(struct btrfs_ioctl_search_args_v2),
  CBTRFS_HEADER_TRANSID = offsetof(struct btrfs_ioctl_search_header, transid),
  CBTRFS_HEADER_OBJECT = offsetof(struct btrfs_ioctl_search_header, objectid),
  CBTRFS_HEADER_OFFSET = offsetof(struct btrfs_ioctl_search_header, offset),
  CBTRFS_HEADER_TYPE = offsetof(struct btrfs_ioctl_search_header, type),
  CBTRFS_HEADER_LENGTH = offsetof(struct btrfs_ioctl_search_header, len),
  CBTRFS_HEADER_SIZE = sizeof(struct btrfs_ioctl_search_header),
};

// struct btrfs_ioctl_fs_info_args
enum {
  CBTRFS_FS_INFO_FSID = offsetof(struct btrfs_ioctl_fs_info_args, fsid),
  CBTRFS_FS_INFO_NODE_SIZE = offsetof(struct btrfs_ioctl_fs_info_args, nodesize),
  CBTRFS_FS_INFO_SECTOR_SIZE = offsetof(struct btrfs_ioctl_fs_info_args, sectorsize),
  CBTRFS_FS_INFO_CSUM_TYPE = offsetof(struct btrfs_ioctl_fs_info_args, csum_type),
  CBTRFS_FS_INFO_FLAGS = offsetof(struct btrfs_ioctl_fs_info_args, flags),
  CBTRFS_FS_INFO_GENERATION = offsetof(struct btrfs_ioctl_fs_info_args, generation),
  CBTRFS_FS_INFO_SIZE = sizeof(struct btrfs_ioctl_fs_info_args),
};

// struct btrfs_ioctl_dev_info_args
enum {
  CBTRFS_DEV_INFO_DEVID = offsetof(struct btrfs_ioctl_dev_info_args, devid),
  CBTRFS_DEV_INFO_UUID = offsetof(struct btrfs_ioctl_dev_info_args, uuid),
  CBTRFS_DEV_INFO_PATH = offsetof(struct btrfs_ioctl_dev_info_args, path),
  CBTRFS_DEV_INFO_SIZE = sizeof(struct btrfs_ioctl_dev_info_args),
};

// struct btrfs_ioctl_get_subvol_info_args
enum {
  CBTRFS_SUBVOL_INFO_ID = offsetof(struct btrfs_ioctl_get_subvol_info_args, treeid),
  CBTRFS_SUBVOL_INFO_UUID = offsetof(struct btrfs_ioctl_get_subvol_info_args, uuid),
  CBTRFS_SUBVOL_INFO_FLAGS = offsetof(struct btrfs_ioctl_get_subvol_info_args, flags),
  CBTRFS_SUBVOL_INFO_CTRANSID = offsetof(struct btrfs_ioctl_get_subvol_info_args, ctransid),
  CBTRFS_SUBVOL_INFO_OTIME = offsetof(struct btrfs_ioctl_get_subvol_info_args, otime),
  CBTRFS_SUBVOL_INFO_SIZE = sizeof(struct btrfs_ioctl_get_subvol_info_args),
};

// struct btrfs_ioctl_vol_args_v2
enum {
  CBTRFS_VOL_ARGS_FD = offsetof(struct btrfs_ioctl_vol_args_v2, fd),
  CBTRFS_VOL_ARGS_FLAGS = offsetof(struct btrfs_ioctl_vol_args_v2, flags),
  CBTRFS_VOL_ARGS_NAME = offsetof(struct btrfs_ioctl_vol_args_v2, name),
  CBTRFS_VOL_ARGS_SUBVOLID = offsetof(struct btrfs_ioctl_vol_args_v2, subvolid),
  CBTRFS_VOL_ARGS_SIZE = sizeof(struct btrfs_ioctl_vol_args_v2),
};

// struct btrfs_ioctl_feature_flags
enum {
  CBTRFS_FEATURES_INCOMPAT = offsetof(struct btrfs_ioctl_feature_flags, incompat_flags),
  CBTRFS_FEATURES_SIZE = sizeof(struct btrfs_ioctl_feature_flags),
  CBTRFS_LABEL_BYTES = BTRFS_LABEL_SIZE,
};

// Items of the trees, as they lie on disk (little-endian).
enum {
  CBTRFS_ROOT_GENERATION = offsetof(struct btrfs_root_item, generation),
  CBTRFS_ROOT_ADDRESS = offsetof(struct btrfs_root_item, bytenr),
  CBTRFS_ROOT_LAST_SNAPSHOT = offsetof(struct btrfs_root_item, last_snapshot),

  CBTRFS_INODE_GENERATION = offsetof(struct btrfs_inode_item, generation),
  CBTRFS_INODE_SIZE = offsetof(struct btrfs_inode_item, size),
  CBTRFS_INODE_NBYTES = offsetof(struct btrfs_inode_item, nbytes),
  CBTRFS_INODE_NLINK = offsetof(struct btrfs_inode_item, nlink),
  CBTRFS_INODE_UID = offsetof(struct btrfs_inode_item, uid),
  CBTRFS_INODE_GID = offsetof(struct btrfs_inode_item, gid),
  CBTRFS_INODE_MODE = offsetof(struct btrfs_inode_item, mode),
  CBTRFS_INODE_RDEV = offsetof(struct btrfs_inode_item, rdev),
  CBTRFS_INODE_FLAGS = offsetof(struct btrfs_inode_item, flags),
  CBTRFS_INODE_ATIME = offsetof(struct btrfs_inode_item, atime),
  CBTRFS_INODE_CTIME = offsetof(struct btrfs_inode_item, ctime),
  CBTRFS_INODE_MTIME = offsetof(struct btrfs_inode_item, mtime),
  CBTRFS_INODE_OTIME = offsetof(struct btrfs_inode_item, otime),
  CBTRFS_TIMESPEC_NSEC = offsetof(struct btrfs_timespec, nsec),

  CBTRFS_DIR_LOCATION_OBJECT = offsetof(struct btrfs_dir_item, location.objectid),
  CBTRFS_DIR_LOCATION_TYPE = offsetof(struct btrfs_dir_item, location.type),
  CBTRFS_DIR_DATA_LENGTH = offsetof(struct btrfs_dir_item, data_len),
  CBTRFS_DIR_NAME_LENGTH = offsetof(struct btrfs_dir_item, name_len),
  CBTRFS_DIR_TYPE = offsetof(struct btrfs_dir_item, type),
  CBTRFS_DIR_SIZE = sizeof(struct btrfs_dir_item),

  CBTRFS_EXTENT_RAM_BYTES = offsetof(struct btrfs_file_extent_item, ram_bytes),
  CBTRFS_EXTENT_COMPRESSION = offsetof(struct btrfs_file_extent_item, compression),
  CBTRFS_EXTENT_ENCRYPTION = offsetof(struct btrfs_file_extent_item, encryption),
  CBTRFS_EXTENT_OTHER_ENCODING = offsetof(struct btrfs_file_extent_item, other_encoding),
  CBTRFS_EXTENT_TYPE = offsetof(struct btrfs_file_extent_item, type),
  CBTRFS_EXTENT_INLINE_DATA = offsetof(struct btrfs_file_extent_item, disk_bytenr),
  CBTRFS_EXTENT_DISK_BYTENR = offsetof(struct btrfs_file_extent_item, disk_bytenr),
  CBTRFS_EXTENT_DISK_NUM_BYTES = offsetof(struct btrfs_file_extent_item, disk_num_bytes),
  CBTRFS_EXTENT_OFFSET = offsetof(struct btrfs_file_extent_item, offset),
  CBTRFS_EXTENT_NUM_BYTES = offsetof(struct btrfs_file_extent_item, num_bytes),

  CBTRFS_CHUNK_LENGTH = offsetof(struct btrfs_chunk, length),
  CBTRFS_CHUNK_STRIPE_LENGTH = offsetof(struct btrfs_chunk, stripe_len),
  CBTRFS_CHUNK_TYPE = offsetof(struct btrfs_chunk, type),
  CBTRFS_CHUNK_NUM_STRIPES = offsetof(struct btrfs_chunk, num_stripes),
  CBTRFS_CHUNK_SUB_STRIPES = offsetof(struct btrfs_chunk, sub_stripes),
  CBTRFS_CHUNK_STRIPES = offsetof(struct btrfs_chunk, stripe),
  CBTRFS_STRIPE_DEVID = offsetof(struct btrfs_stripe, devid),
  CBTRFS_STRIPE_OFFSET = offsetof(struct btrfs_stripe, offset),
  CBTRFS_STRIPE_UUID = offsetof(struct btrfs_stripe, dev_uuid),
  CBTRFS_STRIPE_SIZE = sizeof(struct btrfs_stripe),

  CBTRFS_DEVICE_DEVID = offsetof(struct btrfs_dev_item, devid),
  CBTRFS_DEVICE_TOTAL_BYTES = offsetof(struct btrfs_dev_item, total_bytes),
  CBTRFS_DEVICE_UUID = offsetof(struct btrfs_dev_item, uuid),
  CBTRFS_DEVICE_FSID = offsetof(struct btrfs_dev_item, fsid),
};

// Flags of open(2) that glibc shows only to C with _GNU_SOURCE.
extern const int cbtrfs_o_direct;
extern const int cbtrfs_o_noatime;
extern const int cbtrfs_o_path;

/// The `f_type` that `fstatfs(2)` gives; -1 with errno set when it fails.
int64_t cbtrfs_file_system_type(int fd);

/// `syncfs(2)`: writes everything of the file's file system to the media.
int cbtrfs_sync_file_system(int fd);

/// The target of a symbolic link that is open with O_PATH (readlinkat(2)): its length, or -1
/// with errno set.
long cbtrfs_read_link(int fd, void *target, size_t size);

/// `ioctl(2)`, which Swift cannot import because it is variadic.
int cbtrfs_ioctl(int fd, unsigned long request, void *argument);

/// Opens an inode of a subvolume by btrfs' file handle (`FILEID_BTRFS_WITHOUT_PARENT`,
/// fs/btrfs/export.h: object ID, root object ID, generation). Returns the
/// descriptor, or -1 with errno set.
int cbtrfs_open_inode(int mount_fd, uint64_t inode, uint64_t subvolume, uint32_t generation,
                      int flags);
