import FileTrees

/// What must be remembered to find a frozen tree of a mounted ext2/3/4 or XFS again.
public struct MountedTreeImage: Codable, Hashable, Sendable {
  /// Why nothing in the tree is expected to change.
  public enum Promise: String, Codable, Hashable, Sendable {
    /// The file system is mounted read-only, all of it. It must stay so, and its
    /// superblock must stay as it is.
    case readOnly
    /// The user promised. Each file is compared with what was frozen.
    case assumed
    /// It is a copy that floe made immutable. Each file is compared as well.
    case reflinkCopy
  }

  /// Where the tree's top directory was.
  public var path: String
  /// "ext2", "ext3", "ext4" or "xfs".
  public var fileSystem: String
  /// The file system's UUID, as text.
  public var fileSystemID: String
  /// The top directory's inode number.
  public var inode: UInt64
  /// The top directory's generation: another directory may get its number later.
  public var generation: UInt32
  /// What was true, or promised, at the freeze and is proved again for every answer.
  public var promise: Promise
  /// A digest of the superblock when the tree was frozen, as a UUID's text.
  public var superblockDigest: String

  public init(
    path: String, fileSystem: String, fileSystemID: String, inode: UInt64, generation: UInt32,
    promise: Promise, superblockDigest: String
  ) {
    self.path = path
    self.fileSystem = fileSystem
    self.fileSystemID = fileSystemID
    self.inode = inode
    self.generation = generation
    self.promise = promise
    self.superblockDigest = superblockDigest
  }

  var top: NodeHandle { NodeHandle(inode: inode, generation: generation) }
}
