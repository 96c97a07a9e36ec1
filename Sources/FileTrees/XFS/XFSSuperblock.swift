import DataSets
import FrozenImage
import VolumeLayers

/// What floe reads of an XFS's superblock: its first sector, big-endian
/// (fs/xfs/libxfs/xfs_format.h, `struct xfs_dsb`).
struct XFSSuperblock {
  static let length = 512

  let id: UniqueIdentifier
  let label: String
  let rootInode: UInt64
  let statistics: FileSystemStatistics
  /// Where the log lies: bytes from the start of the file system, and blocks of 512 bytes.
  let log: (start: UInt64, blocks: UInt64)
  private let numbers: Numbers

  /// What the place of an inode follows from.
  private struct Numbers {
    let groupBlocks: UInt64
    /// Powers of two: bytes of a block and of an inode, inodes of a block, blocks of a group.
    let block, inode, inodes, group: UInt64

    /// Bytes from the start of the file system to a block (`XFS_FSB_TO_DADDR`); `nil` when there
    /// is no such place.
    func place(ofBlock number: UInt64) -> UInt64? {
      let inGroup = number & (1 << group - 1)
      let (first, overflow) = (number >> group).multipliedReportingOverflow(by: groupBlocks)
      guard !overflow, inGroup < groupBlocks, first < 1 << 47 else { return nil }
      return (first + inGroup) << block
    }
  }

  /// - Parameter bytes: the first 512 of the file system.
  /// - Throws: `StackError` when they are no superblock, or of an XFS that floe does not
  ///   describe.
  init(_ bytes: [UInt8], title: String) throws(StackError) {
    guard bytes.count == Self.length, bytes.starts(with: Array("XFSB".utf8)),
      let id = UniqueIdentifier(bytes: bytes[32..<48])
    else { throw StackError(.unsupported, "\(title) holds no XFS") }
    func number(_ place: Int, _ count: Int) -> UInt64 {
      bytes[place..<place + count].reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard number(48, 8) != 0 else {
      throw StackError(
        .unsupported,
        "the XFS of \(title) has its log on another device, which no snapshot of this one holds: "
          + "stop what writes to it, mount it read-only, and freeze its directory")
    }
    guard number(16, 8) == 0 else {
      throw StackError(
        .unsupported,
        "the XFS of \(title) has a realtime device, which no snapshot of this one holds: mount it "
          + "read-only, and freeze its directory")
    }
    numbers = Numbers(
      groupBlocks: number(84, 4), block: number(120, 1), inode: number(122, 1),
      inodes: number(123, 1), group: number(124, 1))
    guard (9...16).contains(numbers.block), (8...11).contains(numbers.inode),
      numbers.inodes == numbers.block - min(numbers.inode, numbers.block), numbers.group <= 32
    else { throw StackError(.malformed, "the superblock of the XFS of \(title) is damaged") }
    self.id = id
    label = String(decoding: bytes[108..<120].prefix { $0 != 0 }, as: UTF8.self)
    rootInode = number(56, 8)
    let (blocks, log) = (number(8, 8), number(96, 4))
    guard let logStart = numbers.place(ofBlock: number(48, 8)) else {
      throw StackError(.malformed, "the superblock of the XFS of \(title) is damaged")
    }
    self.log = (logStart, log << (numbers.block - 9))
    let free = number(144, 8)
    statistics = FileSystemStatistics(
      blockSize: 1 << UInt32(numbers.block), blocks: blocks - min(log, blocks), freeBlocks: free,
      availableBlocks: free, files: number(128, 8), freeFiles: number(136, 8),
      maximumNameLength: 255)
  }

  /// Bytes from the start of the file system to an inode (`XFS_INO_TO_FSB` and
  /// `XFS_INO_TO_OFFSET`, fs/xfs/libxfs/xfs_format.h); `nil` when there is no such place.
  func place(ofInode inode: UInt64) -> UInt64? {
    guard let block = numbers.place(ofBlock: inode >> numbers.inodes) else { return nil }
    return block + (inode & (1 << numbers.inodes - 1)) << numbers.inode
  }
}
