#include "CInflate.h"

#include <limits.h>
#include <zlib.h>
#include <zstd.h>

long floe_inflate_raw(
    const void *input, size_t input_count, void *output, size_t output_count) {
  if (input_count > UINT_MAX || output_count > UINT_MAX) return -1;
  z_stream stream = {0};
  stream.next_in = (Bytef *)input;
  stream.avail_in = (uInt)input_count;
  stream.next_out = output;
  stream.avail_out = (uInt)output_count;
  // Negative window bits: no zlib header. A larger window than the compressor's reads
  // every stream of it.
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return -1;
  int result = inflate(&stream, Z_FINISH);
  long count = (long)(output_count - stream.avail_out);
  inflateEnd(&stream);
  // Z_BUF_ERROR: the output is full before the stream's end, or the input ended.
  return result == Z_STREAM_END || result == Z_BUF_ERROR ? count : -1;
}

long floe_inflate_zstd(
    const void *input, size_t input_count, void *output, size_t output_count) {
  ZSTD_DCtx *context = ZSTD_createDCtx();
  if (!context) return -1;
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 23);
  ZSTD_inBuffer in = {input, input_count, 0};
  ZSTD_outBuffer out = {output, output_count, 0};
  long count = -1;
  while (out.pos < out.size) {
    size_t taken = in.pos, made = out.pos;
    size_t result = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(result)) goto done;
    if (result == 0 || (in.pos == taken && out.pos == made)) break;
  }
  count = (long)out.pos;
done:
  ZSTD_freeDCtx(context);
  return count;
}
