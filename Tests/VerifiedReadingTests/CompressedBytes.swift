import CCompression
import FrozenImage
import Glibc
import SeededNumbers

/// Makes compressed runs as btrfs writes them, with the libraries' own encoders.
enum CompressedBytes {
  struct Failure: Error {}

  /// A run of whole blocks of 4 KiB, with zeros behind what was encoded.
  static func run(_ bytes: [UInt8], as algorithm: CompressionAlgorithm) throws -> [UInt8] {
    var stored: [UInt8]
    switch algorithm {
    case .zlib: stored = try zlib(bytes)
    case .zstd: stored = try zstd(bytes)
    default: stored = try lzo(bytes, sectorSize: algorithm.sectorSize ?? 4096)
    }
    stored += [UInt8](repeating: 0, count: (4096 - stored.count % 4096) % 4096)
    return stored
  }

  private static func zlib(_ bytes: [UInt8]) throws -> [UInt8] {
    var count = compressBound(UInt(bytes.count))
    var stored = [UInt8](repeating: 0, count: Int(count))
    guard compress2(&stored, &count, bytes, UInt(bytes.count), 3) == Z_OK else { throw Failure() }
    return Array(stored[..<Int(count)])
  }

  private static func zstd(_ bytes: [UInt8]) throws -> [UInt8] {
    var stored = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    let count = ZSTD_compress(&stored, stored.count, bytes, bytes.count, 3)
    guard ZSTD_isError(count) == 0 else { throw Failure() }
    return Array(stored[..<count])
  }

  /// The framing of fs/btrfs/lzo.c.
  private static func lzo(_ bytes: [UInt8], sectorSize: Int) throws -> [UInt8] {
    var stored: [UInt8] = [0, 0, 0, 0]
    for start in stride(from: 0, to: bytes.count, by: sectorSize) {
      let left = sectorSize - stored.count % sectorSize
      if left < 4 { stored += [UInt8](repeating: 0, count: left) }
      let segment = try lzoSegment(Array(bytes[start..<min(start + sectorSize, bytes.count)]))
      stored += littleEndian(segment.count) + segment
    }
    stored.replaceSubrange(0..<4, with: littleEndian(stored.count))
    return stored
  }

  private static func lzoSegment(_ bytes: [UInt8]) throws -> [UInt8] {
    var stored = [UInt8](repeating: 0, count: bytes.count + bytes.count / 16 + 67)
    var count = lzo_uint(stored.count)
    // LZO1X_1_MEM_COMPRESS is 16,384 pointers.
    var memory = [UInt8](repeating: 0, count: 16384 * MemoryLayout<Int>.size)
    guard lzo1x_1_compress(bytes, lzo_uint(bytes.count), &stored, &count, &memory) == LZO_E_OK
    else {
      throw Failure()
    }
    return Array(stored[..<Int(count)])
  }

  static func littleEndian(_ number: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
  }
}

extension SeededGenerator {
  /// Bytes that compress more or less well.
  mutating func text(_ count: Int) -> [UInt8] {
    let kinds = UInt64.random(in: 1...255, using: &self)
    var bytes: [UInt8] = []
    while bytes.count < count {
      if bytes.count > 100, Bool.random(using: &self) {
        let start = Int.random(in: 0..<bytes.count - 50, using: &self)
        bytes += bytes[start..<start + 50]
      } else {
        bytes.append(UInt8(next() % kinds))
      }
    }
    return Array(bytes[..<count])
  }
}
