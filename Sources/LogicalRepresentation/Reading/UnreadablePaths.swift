import FrozenImage

/// Finds where in the tree the unreadable parts of a representation are.
///
/// Keeps the paths of the directories that it met, since what is unreadable often lies
/// side by side.
public struct UnreadablePaths {
  private let representation: Representation
  /// Of directories, without a slash at the end; the top directory's is empty.
  private var directories: [NodeIndex: [UInt8]] = [:]

  /// Most bytes of a path that is made: the representation may not have been checked.
  private static let maximumLength = 1 << 16

  public init(of representation: Representation) {
    self.representation = representation
  }

  /// The path of a part's node below the top of its tree, "/" for the top itself, as
  /// bytes; `nil` when no entry leads to the node.
  ///
  /// - Throws: `RepresentationError` when a record cannot be read.
  public mutating func path(of part: Unreadable) throws(RepresentationError) -> [UInt8]? {
    if representation.roots.contains(where: { $0.node == part.node }) { return [0x2F] }
    guard let (directory, entry) = part.name,
      let parent = try path(ofDirectory: directory)
    else { return nil }
    return parent + [0x2F] + Array(try representation.entry(at: entry).name)
  }

  private mutating func path(
    ofDirectory directory: NodeIndex
  ) throws(RepresentationError) -> [UInt8]? {
    // From the directory upwards to one whose path is known.
    var climbed: [(node: NodeIndex, name: [UInt8])] = []
    var node = directory
    var length = 0
    while directories[node] == nil {
      let parent = try representation.parent(of: node)
      if parent == node {
        directories[node] = []
        break
      }
      guard let name = try name(of: node, in: parent), length < Self.maximumLength else {
        return nil
      }
      climbed.append((node, name))
      length += name.count + 1
      node = parent
    }
    var path = directories[node] ?? []
    for (node, name) in climbed.reversed() {
      path += [0x2F] + name
      directories[node] = path
    }
    return path
  }

  private func name(
    of node: NodeIndex, in parent: NodeIndex
  ) throws(RepresentationError) -> [UInt8]? {
    var position: UInt64 = 0
    while position < UInt64.max {
      do throws(RepresentationError) {
        guard let entry = try representation.entry(at: position, of: parent) else { return nil }
        if entry.node == node { return Array(entry.name) }
      } catch {
        // The end of a directory of which a part cannot be read.
        if case .unreadable = error { return nil }
        throw error
      }
      position += 1
    }
    return nil
  }
}
