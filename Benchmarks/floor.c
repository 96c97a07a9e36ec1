// The floor of FUSE: a server that shows one file, or block device, and does nothing for a read
// but one pread(2). What any file system in user space costs at the least.
//
// usage: floor [-d] FILE MOUNTPOINT        -d: past the page cache (O_DIRECT)
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_NODE = 2, LARGEST_READ = 1 << 20, FOR_EVER = 86400 };

static int file;
static off_t file_size;
static _Thread_local char *buffer;

static struct stat attributes(fuse_ino_t node) {
  struct stat status = {.st_ino = node, .st_nlink = 1, .st_mode = S_IFDIR | 0755};
  if (node == FILE_NODE) {
    status.st_mode = S_IFREG | 0444;
    status.st_size = file_size;
  }
  return status;
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name) {
  if (parent != FUSE_ROOT_ID || strcmp(name, "file") != 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  struct fuse_entry_param entry = {
      .ino = FILE_NODE, .attr = attributes(FILE_NODE), .attr_timeout = FOR_EVER,
      .entry_timeout = FOR_EVER};
  fuse_reply_entry(request, &entry);
}

static void get_attributes(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
  (void)info;
  struct stat status = attributes(node);
  fuse_reply_attr(request, &status, FOR_EVER);
}

static void open_file(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info) {
  (void)node;
  info->keep_cache = 1;
  info->noflush = 1;
  fuse_reply_open(request, info);
}

static void read_file(
    fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info) {
  (void)node, (void)info;
  if (!buffer && posix_memalign((void **)&buffer, 4096, LARGEST_READ)) abort();
  ssize_t count = pread(file, buffer, size, offset);
  if (count < 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_buf(request, buffer, count);
  }
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = look_up, .getattr = get_attributes, .open = open_file, .read = read_file};

int main(int count, char **words) {
  int isDirect = count > 1 && !strcmp(words[1], "-d");
  if (count - isDirect != 3) {
    fprintf(stderr, "usage: floor [-d] FILE MOUNTPOINT\n");
    return 64;
  }
  const char *path = words[1 + isDirect], *mountpoint = words[2 + isDirect];
  file = open(path, O_RDONLY | (isDirect ? O_DIRECT : 0));
  struct stat status;
  if (file < 0 || fstat(file, &status)) {
    perror(path);
    return 1;
  }
  file_size = status.st_size;
  if (S_ISBLK(status.st_mode) && ioctl(file, BLKGETSIZE64, &file_size)) {
    perror(path);
    return 1;
  }
  char *options[] = {"floor", "-o", "fsname=floor,ro", NULL};
  struct fuse_args arguments = FUSE_ARGS_INIT(3, options);
  struct fuse_session *session =
      fuse_session_new(&arguments, &operations, sizeof operations, NULL);
  if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, mountpoint))
    return 1;
  struct fuse_loop_config *configuration = fuse_loop_cfg_create();
  fuse_loop_cfg_set_max_threads(configuration, 32);
  int result = fuse_session_loop_mt(session, configuration);
  fuse_session_unmount(session);
  return result != 0;
}
