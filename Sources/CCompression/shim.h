#pragma once

// Debian's decoders. What they offer as macros is a function here.

#include <lzo/lzo1x.h>
#include <zlib.h>
#include <zstd.h>

/// inflateInit2 with the whole window of 32 KiB, which every stream fits in; with the
/// header and checksum of RFC 1950, or bare (RFC 1951).
static inline int ccompression_inflate_init(z_stream *stream, int is_wrapped) {
  return inflateInit2(stream, is_wrapped ? MAX_WBITS : -MAX_WBITS);
}

/// Has to be called once before anything else of LZO.
static inline int ccompression_lzo_init(void) { return lzo_init(); }
