/// What must be remembered to find a reflink copy that floe made.
public struct ReflinkImage: Codable, Hashable, Sendable {
  /// The XFS's UUID, as text.
  public var fileSystemID: String
  /// The copy's top directory.
  public var path: String
  /// The top directory's inode number.
  public var inode: UInt64
  /// The top directory's generation: another directory may get its number later.
  public var generation: UInt32
  /// What was copied, for people.
  public var source: String

  public init(
    fileSystemID: String, path: String, inode: UInt64, generation: UInt32, source: String
  ) {
    self.fileSystemID = fileSystemID
    self.path = path
    self.inode = inode
    self.generation = generation
    self.source = source
  }
}
