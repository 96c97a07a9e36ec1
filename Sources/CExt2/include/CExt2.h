// libext2fs over bytes that the caller reads.
#pragma once

#include <stdint.h>

#include <ext2fs/ext2fs.h>

/// Fills `buffer` with `count` bytes from `offset` of the file system; returns 0, or
/// anything else when it cannot.
typedef int (*cext2_read)(void *context, uint64_t offset, void *buffer, uint64_t count);

/// Opens a file system read-only; nothing is ever written to it. `context` must live
/// until `ext2fs_free`.
errcode_t cext2_open(cext2_read read, void *context, ext2_filsys *file_system);
