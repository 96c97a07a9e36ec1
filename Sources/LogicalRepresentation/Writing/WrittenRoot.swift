public import FrozenImage

/// A tree of an image that is written.
public struct WrittenRoot: Hashable, Sendable {
  /// A label for people.
  public let name: String
  /// What a mount of the tree shows.
  public let view: Root.View
  /// The inode number of the top directory.
  public let top: UInt64
  /// The tree's nodes are those with this inode number or a greater one, up to the
  /// next tree's.
  public let first: UInt64

  public init(name: String, view: Root.View, top: UInt64, first: UInt64) {
    self.name = name
    self.view = view
    self.top = top
    self.first = first
  }
}
