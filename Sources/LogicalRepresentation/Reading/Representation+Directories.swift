public import FrozenImage

extension Representation {
  /// The directory that holds a directory; the top directory is its own parent.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `damaged` when the parent is no node.
  public func parent(of directory: NodeIndex) throws(RepresentationError) -> NodeIndex {
    let parent = try record(of: directory, as: .directory).parent
    guard parent < nodes.count else {
      throw .damaged(place: "node \(directory.rawValue)", problem: "its parent is no node")
    }
    return NodeIndex(rawValue: parent)
  }

  /// A directory's child; the name is valid while the representation lives.
  public struct Entry {
    /// Bytes without a terminating zero, in no particular encoding.
    public let name: UnsafeRawBufferPointer
    /// The child; several entries may name the same one (hard links).
    public let node: NodeIndex
    /// The child's type, as the node itself has it.
    public let type: FileType
  }

  private func entryRange(
    of directory: NodeIndex
  ) throws(RepresentationError) -> Range<UInt64> {
    let record = try record(of: directory, as: .directory)
    return try entries.range(record.first, record.count, of: "node \(directory.rawValue)")
  }

  func entry(at index: UInt64) throws(RepresentationError) -> Entry {
    let record = try entries.record(at: index)
    guard let type = FileType(rawValue: record.type) else {
      throw .damaged(place: "entry \(index)", problem: "its type \(record.type) is not known")
    }
    guard record.node < nodes.count else {
      throw .damaged(place: "entry \(index)", problem: "there is no node \(record.node)")
    }
    return Entry(
      name: try heapBytes(at: record.nameOffset, count: Int(record.nameLength)),
      node: NodeIndex(rawValue: record.node), type: type)
  }

  /// The child of a directory with a name; `nil` when it has none.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `unreadable` when no such name is known and not
  ///   all of the directory could be read; `damaged` when a record is out of range.
  public func lookup(
    _ name: UnsafeRawBufferPointer, in directory: NodeIndex
  ) throws(RepresentationError) -> NodeIndex? {
    var range = try entryRange(of: directory)
    while !range.isEmpty {
      let middle = range.lowerBound + (range.upperBound - range.lowerBound) / 2
      let entry = try entry(at: middle)
      let order = NameBytes.order(entry.name, name)
      if order == 0 { return entry.node }
      range = order < 0 ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    try requireReadable(directory, .content)
    return nil
  }

  /// The child at a position, counted from 0 in ascending order of name; `nil` past
  /// the last one.
  ///
  /// - Throws: as `lookup`; `unreadable` past the last one that is known, when not all of
  ///   the directory could be read.
  public func entry(
    at position: UInt64, of directory: NodeIndex
  ) throws(RepresentationError) -> Entry? {
    let range = try entryRange(of: directory)
    guard position < range.count64 else {
      try requireReadable(directory, .content)
      return nil
    }
    return try entry(at: range.lowerBound + position)
  }

  /// The node of a tree with an inode number of the source; `nil` when there is
  /// none. Placeholders of nested trees are not found: they all have inode 2.
  ///
  /// - Throws: `RepresentationError.damaged` when a record lies out of range.
  public func node(
    withInode inode: UInt64, inRoot root: Int
  ) throws(RepresentationError) -> NodeIndex? {
    guard roots.indices.contains(root) else { return nil }
    var range = roots[root].nodes
    while !range.isEmpty {
      let middle = range.lowerBound + range.count64 / 2
      let found = try nodes.record(at: middle).attributes.inode
      if found == inode { return NodeIndex(rawValue: middle) }
      range = found < inode ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return nil
  }

  /// The tree that a node belongs to, by its index in `roots`.
  func root(of node: NodeIndex) throws(RepresentationError) -> Int {
    let found = roots.partitioningIndex { $0.placeholders.upperBound > node.rawValue }
    guard found < roots.count else { throw .noSuchNode(node) }
    return found
  }
}
