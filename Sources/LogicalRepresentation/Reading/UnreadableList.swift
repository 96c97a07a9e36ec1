/// What of an image could not be read when it was frozen.
public struct UnreadableList: Hashable, Sendable {
  /// A part that could not be read.
  public struct Entry: Hashable, Sendable {
    /// Below the top of the image, as bytes; `nil` when no entry leads to the inode.
    public let path: [UInt8]?
    /// The source's inode number; 0 when it cannot be told.
    public let inode: UInt64
    /// Which part of the inode is lost.
    public let part: UnreadablePart
    /// One sentence without a full stop, for people; from the production host, so it may
    /// hold anything.
    public let reason: String
  }

  /// All of them.
  public let count: UInt64
  /// The first of them, in the order of their inode numbers.
  public let entries: [Entry]

  /// Most parts that are listed one by one.
  public static let listLimit = 1000

  /// Nothing.
  public init() {
    count = 0
    entries = []
  }

  /// - Parameter limit: parts that are looked up.
  public init(of representation: Representation, limit: Int = listLimit) {
    count = representation.unreadableCount
    var paths = UnreadablePaths(of: representation)
    entries = (0..<min(count, UInt64(limit))).compactMap { index in
      guard let part = try? representation.unreadablePart(at: index) else { return nil }
      return Entry(
        path: (try? paths.path(of: part)).flatMap { $0 },
        inode: (try? representation.inode(of: part.node)) ?? 0, part: part.part,
        reason: part.reason)
    }
  }
}
