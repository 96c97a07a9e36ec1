/// The file systems whose mapping the kernel tells by FIEMAP and whose regions rest
/// while their files do.
package enum MountedKind: String, Sendable {
  case ext2
  case ext3
  case ext4
  case xfs

  /// Whether it is XFS; the others are one driver's, ext4.
  package var isXFS: Bool { self == .xfs }

  /// Whether the kernel writes the superblock, and waits for it, before it lets anybody
  /// write to a file system that was read-only.
  ///
  /// ext4's driver, which serves ext3 as well, does (`ext4_setup_super` calls
  /// `ext4_commit_super`; `__ext4_remount` clears SB_RDONLY after it, `__ext4_fill_super`
  /// calls it before the mount is there). The ext2 driver, which may serve ext2, clears
  /// the flag first (`ext2_remount`), and XFS writes no superblock at that moment.
  package var announcesWriting: Bool { self == .ext4 || self == .ext3 }
}
