import CBtrfs
import FrozenImage

/// `struct btrfs_file_extent_item`.
enum FileExtentItem {
  /// Bytes inside the item itself. They stand for `length` bytes of the file,
  /// more than there are bytes when they are compressed.
  case inline(length: UInt64, bytes: UnsafeRawBufferPointer, isEncoded: Bool)
  /// Nothing was ever allocated: reads as zeros.
  case hole(length: UInt64)
  /// A run of file bytes at a logical address of the volume, one to one.
  case regular(address: UInt64, length: UInt64)
  /// Space that was allocated and never written: reads as zeros.
  case preallocated(length: UInt64)
  /// A part of what a run of the volume decodes to.
  case compressed(length: UInt64, run: CompressedExtent)
  /// In an encoding that is not known.
  case encoded(length: UInt64)

  /// Most bytes of a file that one item covers, holes and inline extents apart:
  /// 128 MiB when written (`BTRFS_MAX_EXTENT_SIZE`, fs/btrfs/fs.h), 256 MiB when
  /// preallocated (`__btrfs_prealloc_file_range`, fs/btrfs/inode.c), which later
  /// writes into such an extent keep.
  static let maximumLength: UInt64 = 256 << 20

  init?(_ payload: UnsafeRawBufferPointer) {
    guard let memoryBytes: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_RAM_BYTES)),
      let compression: UInt8 = payload.number(at: Int(CBTRFS_EXTENT_COMPRESSION)),
      let encryption: UInt8 = payload.number(at: Int(CBTRFS_EXTENT_ENCRYPTION)),
      let otherEncoding: UInt16 = payload.number(at: Int(CBTRFS_EXTENT_OTHER_ENCODING)),
      let type: UInt8 = payload.number(at: Int(CBTRFS_EXTENT_TYPE))
    else { return nil }
    let isEncoded = compression != 0 || encryption != 0 || otherEncoding != 0
    if type == 0 {
      let start = Int(CBTRFS_EXTENT_INLINE_DATA)
      guard let bytes = payload.run(at: start, count: payload.count - start) else { return nil }
      self = .inline(length: memoryBytes, bytes: bytes, isEncoded: isEncoded)
      return
    }
    guard let start: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_DISK_BYTENR)),
      let offset: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_OFFSET)),
      let length: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_NUM_BYTES)), length > 0
    else { return nil }
    let (address, overflow) = start.addingReportingOverflow(offset)
    guard !overflow, !address.addingReportingOverflow(length).overflow else { return nil }
    switch type {
    case 1 where start == 0: self = .hole(length: length)
    case 1 where isEncoded:
      let run =
        encryption == 0 && otherEncoding == 0
        ? CompressedExtent(payload, compression: compression, decodedLength: memoryBytes) : nil
      self = run.map { .compressed(length: length, run: $0) } ?? .encoded(length: length)
    case 1: self = .regular(address: address, length: length)
    case 2: self = .preallocated(length: length)
    default: return nil
    }
  }

  /// How many bytes of the file an item stands for that is of no known form; `nil` when it
  /// does not tell.
  static func length(of payload: UnsafeRawBufferPointer) -> UInt64? {
    let length: UInt64? = payload.number(at: Int(CBTRFS_EXTENT_NUM_BYTES))
    return length.flatMap { $0 > 0 ? $0 : nil }
  }

  /// Bytes of the file that the item stands for.
  var length: UInt64 {
    switch self {
    case .inline(let length, _, _), .hole(let length), .regular(_, let length),
      .preallocated(let length), .compressed(let length, _), .encoded(let length):
      length
    }
  }
}

/// A compressed extent of the volume as a file extent item tells it.
struct CompressedExtent: Hashable {
  /// How it is compressed (`BTRFS_COMPRESS_…`, fs/btrfs/fs.h).
  enum Compression: UInt8 {
    case zlib = 1
    case lzo = 2
    case zstd = 3
  }

  let compression: Compression
  /// The logical address of the volume.
  let address: UInt64
  /// Bytes on the volume, padding to whole blocks included.
  let storedLength: UInt64
  /// Bytes that the extent decodes to.
  let decodedLength: UInt64
  /// Where the item's bytes begin in them.
  let offset: UInt64

  /// Most bytes of a compressed extent, stored and decoded (`BTRFS_MAX_COMPRESSED`,
  /// `BTRFS_MAX_UNCOMPRESSED`, fs/btrfs/compression.h).
  private static let maximumLength: UInt64 = 128 << 10

  fileprivate init?(
    _ payload: UnsafeRawBufferPointer, compression: UInt8, decodedLength: UInt64
  ) {
    guard let compression = Compression(rawValue: compression),
      let address: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_DISK_BYTENR)),
      let storedLength: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_DISK_NUM_BYTES)),
      let offset: UInt64 = payload.number(at: Int(CBTRFS_EXTENT_OFFSET))
    else { return nil }
    self.compression = compression
    self.address = address
    self.storedLength = storedLength
    self.decodedLength = decodedLength
    self.offset = offset
  }

  /// The run of the volume's address space; `nil` when it is none that can be decoded, or
  /// does not decode to `length` bytes from the item's offset on.
  ///
  /// - Parameter sectorSize: bytes of a data block, by which LZO's segments are laid out.
  func run(holding length: UInt64, sectorSize: UInt32) -> CompressedRun? {
    let algorithm: CompressionAlgorithm? =
      switch compression {
      case .zlib: .zlib
      case .zstd: .zstd
      case .lzo: .allCases.first { $0.sectorSize == Int(sectorSize) }
      }
    guard let algorithm, storedLength <= Self.maximumLength, decodedLength <= Self.maximumLength,
      address.isMultiple(of: UInt64(sectorSize)), storedLength.isMultiple(of: UInt64(sectorSize)),
      let run = CompressedRun(
        algorithm: algorithm,
        address: StoreAddress(store: ChunkTree.addressSpace, offset: address),
        storedLength: storedLength, decodedLength: decodedLength, offset: offset),
      run.holds(length)
    else { return nil }
    return run
  }
}
