// Decompression in one call, from buffer to buffer. The libraries' own headers stay
// in CInflate.c: zlib initialises by a macro, which Swift cannot import.
#pragma once
#include <stddef.h>

// Inflates a raw deflate stream (RFC 1951) until the output is full. The input may go
// on behind the stream's end.
//
// Returns the count of bytes written, which is less than `output_count` when the
// stream ended early; -1 when it is damaged.
long floe_inflate_raw(
    const void *input, size_t input_count, void *output, size_t output_count);

// The same for a zstd frame (RFC 8878) whose window has no more than 8 MiB.
long floe_inflate_zstd(
    const void *input, size_t input_count, void *output, size_t output_count);
