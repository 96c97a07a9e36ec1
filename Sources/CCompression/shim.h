#pragma once

// Debian's decoders. What they offer as macros is a function here.

#include <lzo/lzo1x.h>
#include <zlib.h>
#include <zstd.h>

/// inflateInit with the whole window of 32 KiB; the format is zlib's (RFC 1950).
static inline int ccompression_inflate_init(z_stream *stream) { return inflateInit(stream); }

/// Has to be called once before anything else of LZO.
static inline int ccompression_lzo_init(void) { return lzo_init(); }
