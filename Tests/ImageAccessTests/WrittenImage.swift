import DataSets
import FrozenImage
import HostSystem
import ImageFixtures
import LogicalRepresentation
import SystemPackage

/// A representation in a file, as a freeze writes it, of this tree: `/a`, `/d/again` (the same
/// file as `/a`), `/d/e/b`, and `/lost` and `/gone`, which could not be read: a file and a
/// directory.
struct WrittenImage {
  let id = UniqueIdentifier.random()
  let path: FilePath

  /// - Parameter service: the address that is in the file.
  init(in directory: FilePath, service: String = "") throws {
    path = directory.appending("\(id).floe")
    var writer = try RepresentationWriter(
      image: .sample(id, service: service), volumes: [.sample()],
      scratch: FileScratch(writing: path))
    try writer.addDirectory(
      256,
      [
        ("a", 257, .regular), ("d", 258, .directory), ("gone", 261, .directory),
        ("lost", 262, .regular),
      ])
    try writer.addFile(257, [1, 2, 3], links: 2)
    try writer.addDirectory(258, [("again", 257, .regular), ("e", 259, .directory)])
    try writer.addDirectory(259, [("b", 260, .regular)])
    try writer.addFile(260, [4])
    try writer.addUnreadableNode(inode: 261, type: .directory, reason: "a bad sector")
    try writer.addUnreadableNode(inode: 262, type: .regular, reason: "another bad sector")
    try writer.finish(rootInode: 256, rootName: "data")
  }

  /// Its bytes.
  func open() throws -> Representation {
    try Representation(MappedFile.copy(of: path))
  }
}
