import CCompression
package import FrozenImage

/// Decodes compressed runs with Debian's libraries.
///
/// It decodes no farther than it is asked for, and a run that ends properly before that
/// is no error: the rest of what it stands for are zeros (docs/ASSUMPTIONS.md). Any bytes
/// may come in: what makes no sense throws.
///
/// Holds the state of one decoder and is used by one thread at a time.
package struct RunDecoder: ~Copyable {
  private var decompressor = Decompressor(
    windowLog: CompressedRun.maximumLength.trailingZeroBitCount)
  /// One decoded segment of LZO that does not fit where it should go.
  private var segment: [UInt8] = []

  package init() {}

  /// Decodes a run from its start until the output is full or the run ends.
  ///
  /// - Parameter stored: all stored bytes, padding included.
  /// - Returns: the count of decoded bytes.
  package mutating func decode(
    _ stored: UnsafeRawBufferPointer, as algorithm: CompressionAlgorithm,
    into output: UnsafeMutableRawBufferPointer
  ) throws(DecodingError) -> Int {
    switch algorithm {
    case .zlib: try decompressor.inflate(stored, .zlib, into: output)
    case .zstd: try decompressor.decodeFrame(stored, into: output)
    case .lzo4K, .lzo8K, .lzo16K, .lzo32K, .lzo64K:
      try decodeSegments(stored, sectorSize: algorithm.sectorSize ?? 4096, into: output)
    }
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
