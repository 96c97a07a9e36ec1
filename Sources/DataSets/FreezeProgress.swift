/// How far a description has come.
public struct FreezeProgress: Hashable, Sendable {
  /// Inodes of every type, files and directories among them.
  public var nodes: UInt64
  /// Regular files.
  public var files: UInt64
  /// Bytes of regular files, as their sizes tell.
  public var bytes: UInt64

  public init(nodes: UInt64 = 0, files: UInt64 = 0, bytes: UInt64 = 0) {
    self.nodes = nodes
    self.files = files
    self.bytes = bytes
  }
}
