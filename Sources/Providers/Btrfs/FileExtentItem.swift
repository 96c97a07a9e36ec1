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
  /// Compressed or in another encoding.
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
    case 1: self = isEncoded ? .encoded(length: length) : .regular(address: address, length: length)
    case 2: self = .preallocated(length: length)
    default: return nil
    }
  }

  /// Bytes of the file that the item stands for.
  var length: UInt64 {
    switch self {
    case .inline(let length, _, _), .hole(let length), .regular(_, let length),
      .preallocated(let length), .encoded(let length):
      length
    }
  }
}
