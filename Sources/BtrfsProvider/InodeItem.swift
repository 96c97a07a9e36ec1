import CBtrfs
import FrozenImage

/// The types of a subvolume's items that are read (linux/btrfs_tree.h).
enum ItemType {
  static let inode: UInt8 = 1
  static let extendedAttribute: UInt8 = 24
  static let directoryIndex: UInt8 = 96
  static let fileExtent: UInt8 = 108
  static let extentChecksum: UInt8 = 128
  static let root: UInt8 = 132
  static let device: UInt8 = 216
  static let chunk: UInt8 = 228
}

/// The inode numbers of a subvolume (`BTRFS_FIRST_FREE_OBJECTID` through
/// `BTRFS_LAST_FREE_OBJECTID`, linux/btrfs_tree.h); the first is its root directory.
enum InodeNumbers {
  static let root: UInt64 = 256
  static let last = UInt64(bitPattern: -256)
  /// What stands where another subvolume is nested (`BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`).
  static let emptySubvolume: UInt64 = 2

  /// Every item of every inode.
  static let allKeys =
    TreeKey(object: root, type: 0, offset: 0)...TreeKey(object: last, type: .max, offset: .max)
}

/// `struct btrfs_inode_item`.
struct InodeItem {
  let attributes: NodeAttributes
  /// The inode's data has no checksums (`BTRFS_INODE_NODATASUM`).
  let isWithoutChecksums: Bool
  /// 0 for an orphan: deleted, but not cleaned up when the snapshot was made.
  var links: UInt32 { attributes.links }

  /// - Parameter sectorSize: what `st_blocks` is rounded up to, as
  ///   `btrfs_getattr` does (fs/btrfs/inode.c).
  init?(_ payload: UnsafeRawBufferPointer, inode: UInt64, sectorSize: UInt32) {
    guard let generation: UInt64 = payload.number(at: Int(CBTRFS_INODE_GENERATION)),
      let size: UInt64 = payload.number(at: Int(CBTRFS_INODE_SIZE)),
      let bytes: UInt64 = payload.number(at: Int(CBTRFS_INODE_NBYTES)),
      let links: UInt32 = payload.number(at: Int(CBTRFS_INODE_NLINK)),
      let owner: UInt32 = payload.number(at: Int(CBTRFS_INODE_UID)),
      let group: UInt32 = payload.number(at: Int(CBTRFS_INODE_GID)),
      let mode: UInt32 = payload.number(at: Int(CBTRFS_INODE_MODE)),
      let device: UInt64 = payload.number(at: Int(CBTRFS_INODE_RDEV)),
      let flags: UInt64 = payload.number(at: Int(CBTRFS_INODE_FLAGS)),
      let accessed = Timestamp(payload, at: Int(CBTRFS_INODE_ATIME)),
      let changed = Timestamp(payload, at: Int(CBTRFS_INODE_CTIME)),
      let modified = Timestamp(payload, at: Int(CBTRFS_INODE_MTIME)),
      let created = Timestamp(payload, at: Int(CBTRFS_INODE_OTIME))
    else { return nil }
    let mask = UInt64(sectorSize) - 1
    let isDevice =
      switch FileType(mode: mode) {
      case .blockDevice, .characterDevice: true
      default: false
      }
    // The kernel stores its own dev_t: 20 bits of minor number (linux/kdev_t.h).
    attributes = NodeAttributes(
      inode: inode, generation: generation, mode: mode, links: links, owner: owner, group: group,
      deviceMajor: isDevice ? UInt32(truncatingIfNeeded: device >> 20) : 0,
      deviceMinor: isDevice ? UInt32(truncatingIfNeeded: device & 0xF_FFFF) : 0, size: size,
      blocks: ((bytes &+ mask) & ~mask) >> 9, accessed: accessed, modified: modified,
      changed: changed, created: created, inodeFlags: Self.generalFlags(flags))
    isWithoutChecksums = flags & 1 != 0
  }

  /// What the file system keeps as `BTRFS_INODE_…` as `FS_IOC_GETFLAGS` tells it
  /// (`FS_…_FL`, linux/fs.h).
  private static func generalFlags(_ flags: UInt64) -> UInt64 {
    let pairs: [(btrfs: UInt64, general: UInt64)] = [
      (1 << 1, 0x80_0000),  // NODATACOW: FS_NOCOW_FL
      (1 << 3, 0x400),  // NOCOMPRESS: FS_NOCOMP_FL
      (1 << 5, 0x8),  // SYNC
      (1 << 6, 0x10),  // IMMUTABLE
      (1 << 7, 0x20),  // APPEND
      (1 << 8, 0x40),  // NODUMP
      (1 << 9, 0x80),  // NOATIME
      (1 << 10, 0x1_0000),  // DIRSYNC
      (1 << 11, 0x4),  // COMPRESS: FS_COMPR_FL
      (1 << 32, 0x10_0000),  // RO_VERITY: FS_VERITY_FL
    ]
    return pairs.reduce(0) { $0 | (flags & $1.btrfs != 0 ? $1.general : 0) }
  }
}

extension Timestamp {
  /// `struct btrfs_timespec`.
  fileprivate init?(_ payload: UnsafeRawBufferPointer, at offset: Int) {
    guard let seconds: Int64 = payload.number(at: offset),
      let nanoseconds: UInt32 = payload.number(at: offset + Int(CBTRFS_TIMESPEC_NSEC))
    else { return nil }
    self.init(seconds: seconds, nanoseconds: min(nanoseconds, 999_999_999))
  }
}
