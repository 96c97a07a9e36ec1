/// The features of an ext2, ext3 or ext4 whose meaning matters to a reader
/// (`EXT4_FEATURE_…`, fs/ext4/ext4.h).
struct ExtFeatures: Hashable {
  let compatible: UInt32
  let incompatible: UInt32
  let readOnlyCompatible: UInt32

  var hasJournal: Bool { compatible & 0x4 != 0 }

  var hasFileTypes: Bool { incompatible & 0x2 != 0 }
  var needsRecovery: Bool { incompatible & 0x4 != 0 }
  var hasMetaGroups: Bool { incompatible & 0x10 != 0 }
  var hasExtents: Bool { incompatible & 0x40 != 0 }
  var is64Bit: Bool { incompatible & 0x80 != 0 }
  var hasAttributeInodes: Bool { incompatible & 0x400 != 0 }
  var hasLargeDirectories: Bool { incompatible & 0x4000 != 0 }

  var hasHugeFiles: Bool { readOnlyCompatible & 0x8 != 0 }
  var hasClusters: Bool { readOnlyCompatible & 0x200 != 0 }
  var hasMetadataChecksums: Bool { readOnlyCompatible & 0x400 != 0 }
  /// Whether files may share blocks, as in read-only images that e2fsdroid made. The kernel
  /// does not know the bit and therefore mounts them read-only, with no other difference.
  var hasSharedBlocks: Bool { readOnlyCompatible & 0x4000 != 0 }

  /// The names of the features that this reader does not know the meaning of, as
  /// tune2fs names them.
  var unreadable: [String] {
    var names: [String] = []
    for bit in 0..<UInt32(32) {
      let isSet = incompatible & 1 << bit != 0
      if isSet, Self.readable & 1 << bit == 0 {
        names.append(Self.unreadableNames[bit] ?? "FEATURE_I\(bit)")
      }
    }
    return names
  }

  /// filetype, needs_recovery (which has a refusal of its own), meta_bg, extents,
  /// 64bit, mmp, flex_bg, ea_inode, metadata_csum_seed, large_dir, inline_data,
  /// encrypt (which is refused when an inode uses it), casefold.
  private static let readable: UInt32 =
    0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000
    | 0x20000

  private static let unreadableNames: [UInt32: String] = [
    0: "compression", 3: "journal_dev", 12: "dirdata",
  ]
}
