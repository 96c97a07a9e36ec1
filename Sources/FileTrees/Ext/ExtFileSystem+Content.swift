public import VolumeLayers

extension ExtFileSystem: StackContent {
  /// How a representation names the ext2, ext3 and ext4 file systems.
  package static let kind = "ext"
  /// What the kernel and libblkid call them.
  package static let types: Set<String> = ["ext2", "ext3", "ext4"]

  public var kind: String { Self.kind }
  public var identity: [ProbeWindow] { Self.identity }
  public var witness: [ProbeWindow] { Self.witness }
  public var topInode: UInt64 { Self.rootInode }
}
