package import FrozenImage
import HostSystem
import LogicalRepresentation

extension Representation {
  /// Follows a path from a directory; symbolic links are not followed, and "." is where it
  /// stands.
  ///
  /// - Throws: `Failure` when the image has no such path, `RepresentationError` when a record
  ///   cannot be read.
  package func node(at path: String, below top: NodeIndex) throws -> NodeIndex {
    var node = top
    for name in PathText.bytes(of: path).split(separator: UInt8(ascii: "/"))
    where !name.elementsEqual(".".utf8) {
      guard try attributes(of: node).type == .directory,
        let next = try Array(name).withUnsafeBytes({ try lookup($0, in: node) })
      else { throw Failure(.notFound, "the image “\(image.name)” has no file “\(path)”") }
      node = next
    }
    return node
  }
}
