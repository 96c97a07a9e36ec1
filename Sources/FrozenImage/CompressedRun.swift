/// A run of bytes in a store that decodes to a longer one, and where in what it
/// decodes to something begins.
///
/// A part of a compressed run cannot be read by itself: the run is read and decoded
/// from its start, and what is wanted is taken out.
public struct CompressedRun: Hashable, Sendable {
  /// Most bytes of a run, stored or decoded: what a reader must hold in memory. btrfs
  /// has at most 128 KiB (`BTRFS_MAX_COMPRESSED`, `BTRFS_MAX_UNCOMPRESSED`,
  /// fs/btrfs/compression.h).
  public static let maximumLength: UInt64 = 1 << 20

  /// What decodes the stored bytes.
  public let algorithm: CompressionAlgorithm
  /// Where the stored bytes begin.
  public let address: StoreAddress
  /// Bytes in the store, padding included: 1 through `maximumLength`.
  public let storedLength: UInt32
  /// Bytes that the run decodes to: 1 through `maximumLength`.
  public let decodedLength: UInt32
  /// Bytes from the start of what the run decodes to, below `decodedLength`.
  public let offset: UInt32

  /// `nil` when a length or the offset is out of range, or when the end of the stored
  /// bytes does not fit 64 bits.
  public init?(
    algorithm: CompressionAlgorithm, address: StoreAddress, storedLength: UInt64,
    decodedLength: UInt64, offset: UInt64
  ) {
    let lengths = 1...Self.maximumLength
    guard lengths.contains(storedLength), lengths.contains(decodedLength), offset < decodedLength,
      !address.offset.addingReportingOverflow(storedLength).overflow
    else { return nil }
    self.algorithm = algorithm
    self.address = address
    self.storedLength = UInt32(storedLength)
    self.decodedLength = UInt32(decodedLength)
    self.offset = UInt32(offset)
  }

  private init(_ run: CompressedRun, offset: UInt32) {
    algorithm = run.algorithm
    address = run.address
    storedLength = run.storedLength
    decodedLength = run.decodedLength
    self.offset = offset
  }

  /// Whether the run decodes to as many bytes from its offset on.
  public func holds(_ length: UInt64) -> Bool {
    length <= UInt64(decodedLength - offset)
  }

  /// The run with its offset farther in, for a part of an extent that it holds.
  func moved(by distance: UInt64) -> CompressedRun {
    CompressedRun(self, offset: offset + UInt32(min(distance, UInt64(decodedLength - offset) - 1)))
  }

  /// Whether the other run differs in nothing but its place, so that it holds the same
  /// bytes in the same encoding if the same was stored there.
  public func isEncoded(as other: CompressedRun) -> Bool {
    algorithm == other.algorithm && storedLength == other.storedLength
      && decodedLength == other.decodedLength && offset == other.offset
  }
}

/// How a run is compressed. The values are those of `BTRFS_ENCODED_IO_COMPRESSION_…`
/// (linux/btrfs.h).
public enum CompressionAlgorithm: UInt8, Hashable, Sendable, CaseIterable {
  /// One zlib stream (RFC 1950).
  case zlib = 1
  /// One frame of zstd (RFC 8878).
  case zstd = 2
  /// Segments of LZO1X with btrfs' framing (fs/btrfs/lzo.c), laid out for sectors of
  /// this many KiB.
  case lzo4K = 3
  case lzo8K = 4
  case lzo16K = 5
  case lzo32K = 6
  case lzo64K = 7

  /// Bytes of a sector of LZO's framing; `nil` for the others.
  public var sectorSize: Int? {
    switch self {
    case .zlib, .zstd: nil
    case .lzo4K, .lzo8K, .lzo16K, .lzo32K, .lzo64K: 4096 << Int(rawValue - Self.lzo4K.rawValue)
    }
  }
}
