import CCompression
import FrozenImage

/// Decodes compressed runs with Debian's libraries.
///
/// It decodes no farther than it is asked for, and a run that ends properly before that
/// is no error: the rest of what it stands for are zeros (docs/ASSUMPTIONS.md). Any bytes
/// may come in: what makes no sense throws.
///
/// Holds the state of one decoder and is used by one thread at a time.
struct RunDecoder: ~Copyable {
  private var zstd: OpaquePointer?
  /// One decoded segment of LZO that does not fit where it should go.
  private var segment: [UInt8] = []

  init() {}

  deinit {
    ZSTD_freeDCtx(zstd)
  }

  /// Decodes a run from its start until the output is full or the run ends.
  ///
  /// - Parameter stored: all stored bytes, padding included.
  /// - Returns: the count of decoded bytes.
  mutating func decode(
    _ stored: UnsafeRawBufferPointer, as algorithm: CompressionAlgorithm,
    into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    switch algorithm {
    case .zlib: try inflate(stored, into: output)
    case .zstd: try decodeFrame(stored, into: output)
    case .lzo4K, .lzo8K, .lzo16K, .lzo32K, .lzo64K:
      try decodeSegments(stored, sectorSize: algorithm.sectorSize ?? 4096, into: output)
    }
  }
}

/// Why bytes cannot be decoded, in a few words.
struct DecodingError: Error, Hashable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

// MARK: zlib

extension RunDecoder {
  private func inflate(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    var stream = z_stream()
    guard ccompression_inflate_init(&stream) == Z_OK else {
      throw DecodingError("zlib cannot be started")
    }
    defer { inflateEnd(&stream) }
    // zlib does not write to its input, though the field is not const.
    stream.next_in = UnsafeMutablePointer(
      mutating: stored.bindMemory(to: UInt8.self).baseAddress)
    stream.avail_in = uInt(stored.count)
    stream.next_out = output.bindMemory(to: UInt8.self).baseAddress
    stream.avail_out = uInt(output.count)
    // All input is there, so one call gets as far as there is room.
    let result = CCompression.inflate(&stream, Z_SYNC_FLUSH)
    guard result == Z_STREAM_END || stream.avail_out == 0 && result >= Z_OK else {
      throw DecodingError("its zlib stream is damaged")
    }
    return output.count - Int(stream.avail_out)
  }
}

// MARK: zstd

extension RunDecoder {
  private mutating func decodeFrame(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    let context = try zstdContext()
    var input = ZSTD_inBuffer(src: stored.baseAddress, size: stored.count, pos: 0)
    var result = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    while result.pos < result.size {
      let (read, written) = (input.pos, result.pos)
      let hint = ZSTD_decompressStream(context, &result, &input)
      guard ZSTD_isError(hint) == 0 else { throw DecodingError("its zstd frame is damaged") }
      // 0 says that the frame ended; what follows is padding.
      if hint == 0 { break }
      guard input.pos > read || result.pos > written else {
        throw DecodingError("its zstd frame is cut short")
      }
    }
    return result.pos
  }

  /// A decoder at the start of a frame, which takes no more memory for its window than a
  /// run may decode to.
  private mutating func zstdContext() throws(DecodingError) -> OpaquePointer {
    let context = zstd ?? ZSTD_createDCtx()
    zstd = context
    let windowLog = Int32(CompressedRun.maximumLength.trailingZeroBitCount)
    guard let context, ZSTD_isError(ZSTD_DCtx_reset(context, ZSTD_reset_session_only)) == 0,
      ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowLog)) == 0
    else { throw DecodingError("zstd cannot be started") }
    return context
  }
}

// MARK: LZO

extension RunDecoder {
  private static let isLZOReady = ccompression_lzo_init() == LZO_E_OK

  /// The framing of LZO (docs/REPRESENTATION.md): the length of everything, itself
  /// included, in 4 bytes, then segments of a length in 4 bytes and as many bytes of
  /// LZO1X, each of which decodes to at most a sector. A length never crosses the end of
  /// a sector: where less than 4 bytes are left, they are skipped.
  private mutating func decodeSegments(
    _ stored: UnsafeRawBufferPointer, sectorSize: Int, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    guard Self.isLZOReady else { throw DecodingError("LZO cannot be started") }
    let field = MemoryLayout<UInt32>.size
    func length(at position: Int) -> Int {
      Int(UInt32(littleEndian: stored.loadUnaligned(fromByteOffset: position, as: UInt32.self)))
    }
    guard stored.count >= field, (field...stored.count).contains(length(at: 0)) else {
      throw DecodingError("its LZO segments have an impossible length")
    }
    let end = length(at: 0)
    var position = field
    var written = 0
    while written < output.count {
      let left = sectorSize - position % sectorSize
      if left < field { position += left }
      if position >= end { break }
      guard position + field <= end else { throw DecodingError("an LZO segment is cut short") }
      let count = length(at: position)
      position += field
      guard count <= end - position else { throw DecodingError("an LZO segment is cut short") }
      let segment = UnsafeRawBufferPointer(rebasing: stored[position..<position + count])
      let target = UnsafeMutableRawBufferPointer(rebasing: output[written...])
      written += try decodeSegment(segment, upTo: sectorSize, into: target)
      position += count
    }
    return written
  }

  /// Decodes one segment; gives the count of its bytes that there was room for.
  private mutating func decodeSegment(
    _ stored: UnsafeRawBufferPointer, upTo size: Int, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    if output.count >= size {
      return try Self.decodeLZO(
        stored, into: UnsafeMutableRawBufferPointer(rebasing: output[..<size]))
    }
    if segment.count != size { segment = [UInt8](repeating: 0, count: size) }
    let count: Result<Int, DecodingError> = segment.withUnsafeMutableBytes { segment in
      do throws(DecodingError) {
        let count = min(try Self.decodeLZO(stored, into: segment), output.count)
        output.copyMemory(from: UnsafeRawBufferPointer(rebasing: segment[..<count]))
        return .success(count)
      } catch {
        return .failure(error)
      }
    }
    return try count.get()
  }

  private static func decodeLZO(
    _ stored: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    var count = lzo_uint(output.count)
    let result = lzo1x_decompress_safe(
      stored.bindMemory(to: UInt8.self).baseAddress, lzo_uint(stored.count),
      output.bindMemory(to: UInt8.self).baseAddress, &count, nil)
    guard result == LZO_E_OK, count <= output.count else {
      throw DecodingError("an LZO segment is damaged")
    }
    return Int(count)
  }
}
