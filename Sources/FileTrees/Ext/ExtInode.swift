import FrozenImage

/// `struct ext4_inode` (fs/ext4/ext4.h), with what follows it.
struct ExtInode {
  /// `EXT4_…_FL`.
  enum Flag {
    static let encrypted: UInt32 = 0x800
    static let hugeFile: UInt32 = 0x4_0000
    static let extents: UInt32 = 0x8_0000
    static let attributeValue: UInt32 = 0x20_0000
    static let inlineData: UInt32 = 0x1000_0000
    /// `EXT4_FL_USER_VISIBLE`: what `FS_IOC_GETFLAGS` tells.
    static let visible: UInt32 = 0x725B_DFFF
  }

  /// The bytes of `i_block`.
  static let blockMap = 0x28..<0x28 + 60

  let number: UInt32
  /// The whole inode.
  let bytes: [UInt8]
  let attributes: NodeAttributes
  let flags: UInt32
  /// The block of extended attributes, or 0.
  let attributeBlock: UInt64
  /// Where extended attributes in the inode may begin: their magic number.
  let attributeStart: Int
  /// A symbolic link whose target lies in the inode.
  let isFastSymbolicLink: Bool
  /// Deleted, or never used.
  var isFree: Bool { attributes.links == 0 || attributes.mode == 0 }

  init(_ bytes: [UInt8], number inode: UInt32, of superblock: ExtSuperblock) {
    func number<N: FixedWidthInteger>(_ offset: Int, _: N.Type = N.self) -> N {
      ExtSuperblock.number(bytes, offset)
    }
    let features = superblock.features
    let mode = number(0, UInt16.self)
    let type = FileType(mode: UInt32(mode))
    let flags = number(0x20, UInt32.self)
    let high = number(0x6C, UInt32.self)
    // As `ext4_isize`: the upper half once was a directory's ACL.
    let hasHighSize = type == .regular || features.hasLargeDirectories
    let size = UInt64(hasHighSize ? high : 0) << 32 | UInt64(number(4, UInt32.self))

    let extra = Self.extraLength(bytes)
    let device = type == .blockDevice || type == .characterDevice ? Self.device(bytes) : (0, 0)
    attributes = NodeAttributes(
      inode: UInt64(inode), generation: UInt64(number(0x64, UInt32.self)), mode: UInt32(mode),
      links: UInt32(number(0x1A, UInt16.self)),
      owner: UInt32(number(0x78, UInt16.self)) << 16 | UInt32(number(2, UInt16.self)),
      group: UInt32(number(0x7A, UInt16.self)) << 16 | UInt32(number(0x18, UInt16.self)),
      deviceMajor: device.0, deviceMinor: device.1, size: size,
      blocks: Self.sectors(bytes, type: type, size: size, flags: flags, of: superblock),
      accessed: Self.time(bytes, at: 8, extra: 0x8C, extraLength: extra),
      modified: Self.time(bytes, at: 0x10, extra: 0x88, extraLength: extra),
      changed: Self.time(bytes, at: 0xC, extra: 0x84, extraLength: extra),
      created: Self.fits(0x90, extra)
        ? Self.time(bytes, at: 0x90, extra: 0x94, extraLength: extra) : nil,
      inodeFlags: UInt64(flags & Flag.visible))
    self.number = inode
    self.bytes = bytes
    self.flags = flags
    let attributeBlock = UInt64(number(0x68, UInt32.self))
    self.attributeBlock =
      features.is64Bit
      ? UInt64(number(0x76, UInt16.self)) << 32 | attributeBlock : attributeBlock
    isFastSymbolicLink = Self.isFast(
      attributes, flags: flags, attributeBlock: self.attributeBlock, of: superblock)
    let isUsed = bytes.count > 128 && number(0x80, UInt16.self) > 0
    attributeStart = isUsed ? 128 + extra : bytes.count
  }

  /// The bytes of `i_block`: the root of the block map, the target of a short symbolic
  /// link, the beginning of inline data.
  var blockBytes: ArraySlice<UInt8> { bytes[Self.blockMap] }

  /// Whether its names and its content need a key (fscrypt).
  var isEncrypted: Bool { flags & Flag.encrypted != 0 }

  /// Whether a symbolic link's target lies in the inode. The kernel does not look at the
  /// flag of extents for that, and at the size only where a block of large attributes may
  /// be counted too (`ext4_inode_is_fast_symlink`, fs/ext4/inode.c).
  private static func isFast(
    _ attributes: NodeAttributes, flags: UInt32, attributeBlock: UInt64,
    of superblock: ExtSuperblock
  ) -> Bool {
    guard attributes.type == .symbolicLink else { return false }
    guard !superblock.features.hasAttributeInodes else {
      return (1..<UInt64(blockMap.count)).contains(attributes.size)
    }
    guard flags & Flag.inlineData == 0 else { return false }
    return attributes.blocks == (attributeBlock == 0 ? 0 : superblock.clusterSize / 512)
  }

  /// Bytes of fields after the first 128. Where none are declared, the kernel takes
  /// those that it knows for valid (`__ext4_iget`, fs/ext4/inode.c).
  private static func extraLength(_ bytes: [UInt8]) -> Int {
    guard bytes.count > 128 else { return 0 }
    let declared: UInt16 = ExtSuperblock.number(bytes, 0x80)
    return min(declared == 0 ? 32 : Int(declared), bytes.count - 128)
  }

  private static func fits(_ offset: Int, _ extraLength: Int) -> Bool {
    offset + 4 <= 128 + extraLength
  }

  /// Seconds as a signed number, two more bits of them, and nanoseconds
  /// (`ext4_decode_extra_time`).
  private static func time(
    _ bytes: [UInt8], at offset: Int, extra: Int, extraLength: Int
  ) -> Timestamp {
    let low: Int32 = ExtSuperblock.number(bytes, offset)
    guard fits(extra, extraLength) else { return Timestamp(seconds: Int64(low), nanoseconds: 0) }
    let more: UInt32 = ExtSuperblock.number(bytes, extra)
    return Timestamp(
      seconds: Int64(low) + Int64(more & 3) << 32, nanoseconds: min(more >> 2, 999_999_999))
  }

  /// The kernel's older and its newer encoding (`old_decode_dev`, `new_decode_dev`,
  /// linux/kdev_t.h), in the first and the second word of `i_block`.
  private static func device(_ bytes: [UInt8]) -> (major: UInt32, minor: UInt32) {
    let old: UInt32 = ExtSuperblock.number(bytes, blockMap.lowerBound)
    if old != 0 { return (old >> 8 & 0xFF, old & 0xFF) }
    let new: UInt32 = ExtSuperblock.number(bytes, blockMap.lowerBound + 4)
    return (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xF_FF00)
  }

  /// `st_blocks`, as `ext4_inode_blocks` and `ext4_file_getattr` (fs/ext4/inode.c)
  /// count.
  private static func sectors(
    _ bytes: [UInt8], type: FileType?, size: UInt64, flags: UInt32, of superblock: ExtSuperblock
  ) -> UInt64 {
    var count = UInt64(ExtSuperblock.number(bytes, 0x1C) as UInt32)
    if superblock.features.hasHugeFiles {
      count |= UInt64(ExtSuperblock.number(bytes, 0x74) as UInt16) << 32
      if flags & Flag.hugeFile != 0 { count *= UInt64(superblock.blockSize / 512) }
    }
    // A file without blocks of its own is not to be taken for a hole.
    if type == .regular, flags & Flag.inlineData != 0 {
      count += size / 512 + (size % 512 > 0 ? 1 : 0)
    }
    return count
  }
}
