#include "CExt2.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct source {
  cext2_read read;
  void *context;
};

// What the manager's open is to read: libext2fs hands it a name and nothing else.
static _Thread_local const struct source *opening;

static errcode_t open_channel(const char *name, int flags, io_channel *channel);

static errcode_t close_channel(io_channel channel) {
  if (--channel->refcount > 0) return 0;
  free(channel->private_data);
  free(channel);
  return 0;
}

static errcode_t set_block_size(io_channel channel, int size) {
  channel->block_size = size;
  return 0;
}

// A negative count is a count of bytes, as in libext2fs's own managers.
static errcode_t read_blocks(io_channel channel, unsigned long long block, int count, void *data) {
  const struct source *source = channel->private_data;
  unsigned long long offset, length;
  if (count == INT_MIN || __builtin_mul_overflow(block, channel->block_size, &offset))
    return EXT2_ET_SHORT_READ;
  length = count < 0 ? (unsigned long long)-count
                     : (unsigned long long)count * (unsigned long long)channel->block_size;
  return source->read(source->context, offset, data, length) == 0 ? 0 : EXT2_ET_SHORT_READ;
}

static errcode_t read_blocks_32(io_channel channel, unsigned long block, int count, void *data) {
  return read_blocks(channel, block, count, data);
}

static errcode_t refuse_write(io_channel channel, unsigned long block, int count,
                              const void *data) {
  (void)channel, (void)block, (void)count, (void)data;
  return EXT2_ET_RO_FILSYS;
}

static errcode_t refuse_write_64(io_channel channel, unsigned long long block, int count,
                                 const void *data) {
  (void)channel, (void)block, (void)count, (void)data;
  return EXT2_ET_RO_FILSYS;
}

static errcode_t flush(io_channel channel) {
  (void)channel;
  return 0;
}

static struct struct_io_manager manager = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER,
    .name = "floe",
    .open = open_channel,
    .close = close_channel,
    .set_blksize = set_block_size,
    .read_blk = read_blocks_32,
    .write_blk = refuse_write,
    .flush = flush,
    .read_blk64 = read_blocks,
    .write_blk64 = refuse_write_64,
};

static errcode_t open_channel(const char *name, int flags, io_channel *result) {
  (void)name;
  if (flags & IO_FLAG_RW || !opening) return EXT2_ET_RO_FILSYS;
  struct struct_io_channel *channel = calloc(1, sizeof *channel);
  struct source *source = malloc(sizeof *source);
  if (!channel || !source) {
    free(channel);
    free(source);
    return EXT2_ET_NO_MEMORY;
  }
  *source = *opening;
  channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
  channel->manager = &manager;
  // libext2fs neither reads nor frees it.
  channel->name = "";
  channel->block_size = 1024;
  channel->refcount = 1;
  channel->private_data = source;
  *result = channel;
  return 0;
}

errcode_t cext2_open(cext2_read read, void *context, ext2_filsys *file_system) {
  const struct source source = {.read = read, .context = context};
  opening = &source;
  errcode_t code = ext2fs_open2("", NULL, EXT2_FLAG_64BITS, 0, 0, &manager, file_system);
  opening = NULL;
  return code;
}
