import CCompression
public import FrozenImage

/// Decodes zlib, raw deflate and zstd with Debian's libraries, no farther than there is
/// room. Any bytes may come in: what makes no sense throws.
///
/// Holds the state of one decoder and is used by one thread at a time.
public struct Decompressor: ~Copyable {
  /// What is around deflated bytes.
  public enum Wrapper: Sendable {
    /// A header and a checksum (RFC 1950).
    case zlib
    /// Nothing (RFC 1951).
    case none
  }

  private let windowLog: Int
  private var zstd: OpaquePointer?

  /// - Parameter windowLog: the binary logarithm of the bytes that a zstd frame may want
  ///   for its window, 10 to 31; a frame that wants more is refused.
  public init(windowLog: Int) {
    self.windowLog = windowLog
  }

  deinit {
    ZSTD_freeDCtx(zstd)
  }

  /// Inflates until the output is full or the stream ends.
  ///
  /// - Parameter stored: the whole stream; padding may follow it.
  /// - Returns: the count of decoded bytes.
  /// - Throws: `DecodingError` when the stream is damaged or cut short.
  public func inflate(
    _ stored: UnsafeRawBufferPointer, _ wrapper: Wrapper,
    into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    var stream = z_stream()
    guard let input = uInt(exactly: stored.count), let room = uInt(exactly: output.count),
      ccompression_inflate_init(&stream, wrapper == .zlib ? 1 : 0) == Z_OK
    else { throw DecodingError("zlib cannot be started") }
    defer { inflateEnd(&stream) }
    // zlib does not write to its input, though the field is not const.
    stream.next_in = UnsafeMutablePointer(
      mutating: stored.bindMemory(to: UInt8.self).baseAddress)
    stream.avail_in = input
    stream.next_out = output.bindMemory(to: UInt8.self).baseAddress
    stream.avail_out = room
    // All input is there, so one call gets as far as there is room.
    let result = CCompression.inflate(&stream, Z_SYNC_FLUSH)
    guard result == Z_STREAM_END || stream.avail_out == 0 && result >= Z_OK else {
      throw DecodingError("its zlib stream is damaged")
    }
    return output.count - Int(stream.avail_out)
  }

  /// Decodes a zstd frame until the output is full or the frame ends.
  ///
  /// - Parameter stored: the whole frame; padding may follow it.
  /// - Returns: the count of decoded bytes.
  /// - Throws: `DecodingError` when the frame is damaged or cut short.
  public mutating func decodeFrame(
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

  /// A decoder at the start of a frame.
  private mutating func zstdContext() throws(DecodingError) -> OpaquePointer {
    let context = zstd ?? ZSTD_createDCtx()
    zstd = context
    guard let context, ZSTD_isError(ZSTD_DCtx_reset(context, ZSTD_reset_session_only)) == 0,
      ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(windowLog))) == 0
    else { throw DecodingError("zstd cannot be started") }
    return context
  }
}

/// Why bytes cannot be decoded, in a few words.
public struct DecodingError: CodedError, Hashable {
  public let code = ErrorCode.malformed
  public let description: String

  init(_ description: String) {
    self.description = description
  }
}
