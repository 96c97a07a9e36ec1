import DataSets
import FrozenImage

/// The primary superblock (`struct ext4_super_block`, fs/ext4/ext4.h).
struct ExtSuperblock {
  /// Bytes from the start of the file system.
  static let offset: UInt64 = 1024
  /// Bytes.
  static let length = 1024
  static let magicOffset = 0x38
  static let identifierOffset = 0x68

  /// Most block groups: those of 2 PiB, as mkfs makes them with blocks of 4 KiB.
  private static let maximumGroups: UInt64 = 1 << 24

  let bytes: [UInt8]
  let features: ExtFeatures
  let id: UniqueIdentifier
  /// What `e2label` set.
  let label: String
  /// Bytes.
  let blockSize: UInt32
  let blocks: UInt64
  let firstDataBlock: UInt32
  let blocksPerGroup: UInt32
  let inodes: UInt32
  let inodesPerGroup: UInt32
  /// Bytes.
  let inodeSize: Int
  /// Inode numbers below it are the file system's own.
  let firstInode: UInt32
  /// `EXT2_VALID_FS`, `EXT2_ERROR_FS`.
  private let state: UInt16

  /// - Parameter title: what the superblock was read from, for messages.
  /// - Throws: `StackError` when the bytes are no superblock, its checksum is wrong,
  ///   or its geometry makes no sense.
  init(_ bytes: [UInt8], title: String) throws(StackError) {
    guard bytes.count == Self.length, Self.number(bytes, Self.magicOffset) as UInt16 == 0xEF53
    else { throw StackError(.unsupported, "\(title) holds no ext2, ext3 or ext4 file system") }
    func number<N: FixedWidthInteger>(_ offset: Int) -> N { Self.number(bytes, offset) }
    self.bytes = bytes
    let isDynamic = (number(0x4C) as UInt32) != 0
    features = ExtFeatures(
      compatible: number(0x5C), incompatible: number(0x60), readOnlyCompatible: number(0x64))
    if features.hasMetadataChecksums { try Self.checkChecksum(bytes, title: title) }
    id =
      UniqueIdentifier(bytes: bytes[Self.identifierOffset..<Self.identifierOffset + 16])
      ?? UniqueIdentifier(high: 0, low: 0)
    label = String(decoding: bytes[0x78..<0x88].prefix { $0 != 0 }, as: UTF8.self)
    let low: UInt32 = number(4)
    let high: UInt32 = features.is64Bit ? number(0x150) : 0
    blocks = UInt64(high) << 32 | UInt64(low)
    firstDataBlock = number(0x14)
    blocksPerGroup = number(0x20)
    inodes = number(0)
    inodesPerGroup = number(0x28)
    inodeSize = isDynamic ? Int(number(0x58) as UInt16) : 128
    firstInode = isDynamic ? number(0x54) : 11
    state = number(0x3A)
    let shift: UInt32 = number(0x18)
    blockSize = shift <= 6 ? 1024 << shift : 0
    // What else must hold, `ext2fs_open2` checks. It reads all group descriptors at once.
    guard blockSize > 0, inodeSize >= 128, inodeSize <= blockSize, blocksPerGroup > 0,
      inodesPerGroup > 0, inodesPerGroup <= blockSize * 8, UInt64(firstDataBlock) < blocks,
      blocks <= UInt64(Int64.max) >> 16,
      blocks / UInt64(blocksPerGroup) < Self.maximumGroups
    else { throw StackError(.malformed, "the superblock of \(title) makes no sense") }
  }

  static func number<Number: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int) -> Number {
    bytes.withUnsafeBytes { $0.number(at: offset) } ?? 0
  }

  /// Bytes of a cluster, the unit in which space is given out; a block where there are no
  /// larger ones.
  var clusterSize: UInt64 {
    let shift: UInt32 = number(at: 0x1C)
    return features.hasClusters ? UInt64(1024) << UInt64(min(shift, 20)) : UInt64(blockSize)
  }

  func number<Number: FixedWidthInteger>(at offset: Int) -> Number { Self.number(bytes, offset) }

  /// `ext4_superblock_csum`: CRC-32C of all but the last four bytes, not inverted.
  private static func checkChecksum(_ bytes: [UInt8], title: String) throws(StackError) {
    guard bytes[0x175] == 1 else {
      throw StackError(
        .unsupported,
        "\(title) has metadata checksums of an unknown algorithm, number \(bytes[0x175])")
    }
    let checksum = bytes.withUnsafeBytes {
      ~CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[..<0x3FC]))
    }
    guard checksum == number(bytes, 0x3FC) else {
      throw StackError(
        .malformed, "the checksum of the superblock of \(title) is wrong: run e2fsck")
    }
  }

  /// Refuses a file system whose bytes alone do not tell its content.
  ///
  /// - An unreplayed journal holds metadata that is newer than what lies in its
  ///   place. The flag is also set as long as the file system is mounted for writing.
  /// - Errors that the kernel recorded: what is broken is not known.
  /// - Not cleanly unmounted: without a journal, a crash leaves any mixture of old and
  ///   new; this too is how it looks while it is mounted for writing.
  ///
  /// Inodes on the orphan list or in the orphan file are *no* reason to refuse. The
  /// list names what the next mount has to finish: deleting inodes that no directory
  /// names, which are not shown, and freeing blocks beyond the size of truncated ones,
  /// which lies in the inode already (`ext4_orphan_cleanup`, fs/ext4/orphan.c).
  ///
  /// - Parameter wasQuiet: whether the bytes are of a moment at which it was frozen.
  func requireReadable(title: String, wasQuiet: Bool = false) throws(StackError) {
    let unreadable = features.unreadable
    guard unreadable.isEmpty else {
      throw StackError(
        .unsupported,
        "\(title) has file system features that cannot be read: "
          + unreadable.joined(separator: ", "))
    }
    guard !features.needsRecovery else {
      throw StackError(
        .inUse,
        "the journal of \(title) was not replayed: it is mounted for writing (here, on another "
          + "host or in a virtual machine), or was not unmounted cleanly; unmount it there, and "
          + "only when nobody uses it run e2fsck -p")
    }
    guard state & 2 == 0 else {
      throw StackError(
        .malformed, "the kernel recorded errors in the file system of \(title): run e2fsck -f")
    }
    guard state & 1 != 0 || wasQuiet else {
      throw StackError(
        .inUse,
        "\(title) is mounted for writing (here, on another host or in a virtual machine), or was "
          + "not unmounted cleanly: unmount it there, and only when nobody uses it run e2fsck")
    }
  }
}
