#define _GNU_SOURCE
#include "CBtrfs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

const int cbtrfs_o_direct = O_DIRECT;
const int cbtrfs_o_noatime = O_NOATIME;
const int cbtrfs_o_path = O_PATH;

int64_t cbtrfs_file_system_type(int fd) {
  struct statfs status;
  return fstatfs(fd, &status) == 0 ? (int64_t)status.f_type : -1;
}

int cbtrfs_sync_file_system(int fd) {
  return syncfs(fd);
}

long cbtrfs_read_link(int fd, void *target, size_t size) {
  return readlinkat(fd, "", target, size);
}

int cbtrfs_ioctl(int fd, unsigned long request, void *argument) {
  return ioctl(fd, request, argument);
}

int cbtrfs_open_inode(int mount_fd, uint64_t inode, uint64_t subvolume, uint32_t generation,
                      int flags) {
  enum { file_id_btrfs_without_parent = 0x4d, handle_bytes = 20 };
  union {
    struct file_handle handle;
    unsigned char room[sizeof(struct file_handle) + handle_bytes];
  } buffer;
  memset(&buffer, 0, sizeof buffer);
  buffer.handle.handle_bytes = handle_bytes;
  buffer.handle.handle_type = file_id_btrfs_without_parent;
  unsigned char *bytes = buffer.room + offsetof(struct file_handle, f_handle);
  memcpy(bytes, &inode, sizeof inode);
  memcpy(bytes + 8, &subvolume, sizeof subvolume);
  memcpy(bytes + 16, &generation, sizeof generation);
  return open_by_handle_at(mount_fd, &buffer.handle, flags);
}
