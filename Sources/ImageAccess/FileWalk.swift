package import FrozenImage
package import LogicalRepresentation

/// Every regular file below a directory of an image, each once, however many names it has.
package struct FileWalk {
  /// A regular file, under the name that the walk found first.
  package struct File: Hashable, Sendable {
    /// The file's record in the representation.
    package let node: NodeIndex
    /// From the directory down, with a slash before each name (`PathText`).
    package let path: String
    /// Bytes.
    package let size: UInt64
  }

  private let representation: Representation
  private let top: NodeIndex

  package init(of representation: Representation, below top: NodeIndex) {
    self.representation = representation
    self.top = top
  }

  /// Hands out the files.
  ///
  /// What could not be read when the image was frozen is left out.
  /// - Parameter directoryEnded: called when all entries of one more directory were seen.
  /// - Throws: `RepresentationError`.
  package func forEach(
    directoryEnded: () -> Void = {}, _ body: (File) -> Void
  ) throws(RepresentationError) {
    var seen: Set<NodeIndex> = []
    var directories = [(node: top, path: "")]
    while let (directory, path) = directories.popLast() {
      var position: UInt64 = 0
      while let entry = try readable({ () throws(RepresentationError) in
        try representation.entry(at: position, of: directory)
      }) {
        position += 1
        let place = path + "/" + PathText.text(of: entry.name)
        switch entry.type {
        case .directory: directories.append((entry.node, place))
        case .regular:
          let found = try readable { () throws(RepresentationError) in
            try representation.attributes(of: entry.node)
          }
          guard let attributes = found else { continue }
          if attributes.links > 1, !seen.insert(entry.node).inserted { continue }
          body(File(node: entry.node, path: place, size: attributes.size))
        default: break
        }
      }
      directoryEnded()
    }
  }

  private func readable<Value>(
    _ body: () throws(RepresentationError) -> Value?
  ) throws(RepresentationError) -> Value? {
    do throws(RepresentationError) {
      return try body()
    } catch {
      if case .unreadable = error { return nil }
      throw error
    }
  }
}
