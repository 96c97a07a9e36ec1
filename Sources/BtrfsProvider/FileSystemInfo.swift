import CBtrfs
import FrozenImage
import SystemPackage

/// What `BTRFS_IOC_FS_INFO` tells of a mounted btrfs.
struct FileSystemInfo: Hashable {
  let id: UniqueIdentifier
  /// Bytes of a tree node.
  let nodeSize: UInt32
  /// Bytes of a data block, which is what one checksum covers.
  let sectorSize: UInt32
  /// Of file data.
  let checksum: ChecksumAlgorithm
  /// The transaction that is running, or that was committed last when none runs.
  let generation: UInt64

  init(of descriptor: FileDescriptor) throws(BtrfsError) {
    let wanted = CBTRFS_FS_INFO_WANTED_FLAGS
    let info: FileSystemInfo?
    let checksumType: UInt16?
    do {
      (info, checksumType) = try descriptor.control(
        CBTRFS_FS_INFO, size: Int(CBTRFS_FS_INFO_SIZE),
        fill: { $0.setNative(wanted, at: Int(CBTRFS_FS_INFO_FLAGS)) },
        read: { (FileSystemInfo(argument: $0), $0.number(at: Int(CBTRFS_FS_INFO_CSUM_TYPE))) })
    } catch {
      throw BtrfsError(cannot: "ask btrfs about the file system", error)
    }
    guard let info else {
      if let checksumType, ChecksumAlgorithm(btrfsType: checksumType) == nil {
        throw BtrfsError(
          .unsupported,
          "the btrfs has data checksums of type \(checksumType), which floe does not know")
      }
      throw BtrfsError(
        .unsupported, "this kernel does not tell a btrfs' running generation (Linux 5.10 does)")
    }
    self = info
  }

  private init?(argument: UnsafeRawBufferPointer) {
    guard
      let id = argument.run(at: Int(CBTRFS_FS_INFO_FSID), count: 16)
        .flatMap({ UniqueIdentifier(bytes: $0) }),
      let nodeSize: UInt32 = argument.number(at: Int(CBTRFS_FS_INFO_NODE_SIZE)),
      let sectorSize: UInt32 = argument.number(at: Int(CBTRFS_FS_INFO_SECTOR_SIZE)),
      let checksum = argument.number(at: Int(CBTRFS_FS_INFO_CSUM_TYPE), as: UInt16.self)
        .flatMap(ChecksumAlgorithm.init(btrfsType:)),
      let flags: UInt64 = argument.number(at: Int(CBTRFS_FS_INFO_FLAGS)),
      let generation: UInt64 = argument.number(at: Int(CBTRFS_FS_INFO_GENERATION)),
      flags & CBTRFS_FS_INFO_WANTED_FLAGS == CBTRFS_FS_INFO_WANTED_FLAGS,
      nodeSize >= 4096, sectorSize >= 512, sectorSize.nonzeroBitCount == 1
    else { return nil }
    self.id = id
    self.nodeSize = nodeSize
    self.sectorSize = sectorSize
    self.checksum = checksum
    self.generation = generation
  }
}

extension ChecksumAlgorithm {
  /// `BTRFS_CSUM_TYPE_…` (linux/btrfs_tree.h).
  fileprivate init?(btrfsType: UInt16) {
    switch btrfsType {
    case 0: self = .crc32c
    case 1: self = .xxhash64
    case 2: self = .sha256
    case 3: self = .blake2b
    default: return nil
    }
  }
}

/// The incompatible feature bits of a btrfs (`BTRFS_FEATURE_INCOMPAT_…`).
enum IncompatibleFeatures {
  /// Bits under which the trees mean what this provider takes them to mean:
  /// MIXED_BACKREF, DEFAULT_SUBVOL, MIXED_GROUPS, COMPRESS_LZO, COMPRESS_ZSTD,
  /// BIG_METADATA, EXTENDED_IREF, RAID56 (a RAID5/6 chunk itself is refused),
  /// SKINNY_METADATA, NO_HOLES, METADATA_UUID, RAID1C34 (0–11), SIMPLE_QUOTA (16).
  static let known: UInt64 = 0xFFF | 1 << 16

  /// RAID56: some chunks may keep parity, or did once.
  static let parity: UInt64 = 1 << 7

  private static let refused: [UInt64: String] = [
    12: "zoned", 13: "extent tree v2", 14: "RAID stripe tree",
  ]

  /// The bits that the file system has, from `BTRFS_IOC_GET_FEATURES`.
  static func bits(of descriptor: FileDescriptor) throws(BtrfsError) -> UInt64 {
    do {
      return try descriptor.control(CBTRFS_GET_FEATURES, size: Int(CBTRFS_FEATURES_SIZE)) {
        $0.number(at: Int(CBTRFS_FEATURES_INCOMPAT)) ?? .max
      }
    } catch {
      throw BtrfsError(cannot: "ask btrfs for the file system's features", error)
    }
  }

  /// Names of the bits that are not known, for a message; empty when all are.
  static func unknown(in bits: UInt64) -> [String] {
    (0..<64).map(UInt64.init).filter { bits & ~known & 1 << $0 != 0 }
      .map { refused[$0] ?? "bit \($0)" }
  }
}

/// The volume's label (`BTRFS_IOC_GET_FSLABEL`); empty when it has none.
func volumeLabel(of descriptor: FileDescriptor) -> String {
  let bytes = try? descriptor.control(CBTRFS_GET_LABEL, size: Int(CBTRFS_LABEL_BYTES)) {
    Array($0.prefix { $0 != 0 })
  }
  return String(decoding: bytes ?? [], as: UTF8.self)
}
