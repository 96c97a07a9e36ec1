package import FrozenImage
package import LogicalRepresentation

/// Every entry below a directory of an image, in depth, in the order of names' bytes: the same
/// on every host that has the image.
package struct TreeWalk {
  /// An entry of a directory.
  package struct Entry {
    /// The record in the representation.
    package let node: NodeIndex
    /// The node's type, as the entry has it.
    package let type: FileType
    /// From the image's top down, without a slash before it; bytes in no particular encoding.
    package let path: [UInt8]

    package init(node: NodeIndex, type: FileType, path: [UInt8]) {
      self.node = node
      self.type = type
      self.path = path
    }
  }

  private struct Frame {
    let node: NodeIndex
    /// With a slash at its end; empty at the top.
    let prefix: [UInt8]
    var position: UInt64 = 0
  }

  private let representation: Representation

  package init(of representation: Representation) {
    self.representation = representation
  }

  /// Hands out the entries.
  ///
  /// - Parameters:
  ///   - directory: whose entries are meant; itself it is not handed out.
  ///   - path: of the directory, from the image's top down; empty for the top.
  ///   - isDeep: whether the entries of directories below follow each of them.
  ///   - failed: takes the path of a directory of which not all could be read when the image was
  ///     frozen.
  /// - Throws: what the body throws; `RepresentationError` when a record cannot be read.
  package func forEach(
    below directory: NodeIndex, at path: [UInt8], isDeep: Bool,
    failed: ([UInt8], RepresentationError) -> Void, _ body: (Entry) throws -> Void
  ) throws {
    var frames = [Frame(node: directory, prefix: Self.prefix(path))]
    while var frame = frames.popLast() {
      let found: Representation.Entry?
      do throws(RepresentationError) {
        found = try representation.entry(at: frame.position, of: frame.node)
      } catch {
        guard case .unreadable = error else { throw error }
        failed(frame.prefix.dropLast(), error)
        continue
      }
      guard let found else { continue }
      frame.position += 1
      frames.append(frame)
      let entry = Entry(node: found.node, type: found.type, path: frame.prefix + found.name)
      try body(entry)
      if isDeep, entry.type == .directory {
        frames.append(Frame(node: entry.node, prefix: Self.prefix(entry.path)))
      }
    }
  }

  private static func prefix(_ path: [UInt8]) -> [UInt8] {
    path.isEmpty ? [] : path + [UInt8(ascii: "/")]
  }
}
