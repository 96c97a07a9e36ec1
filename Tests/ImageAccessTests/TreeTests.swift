import FrozenImage
import HostSystem
import ImageAccess
import ImageFixtures
import LogicalRepresentation
import Testing

@Suite struct TreeTests {
  let directory: TemporaryDirectory
  let representation: Representation
  var top: NodeIndex { representation.roots[0].node }

  init() throws {
    directory = try TemporaryDirectory()
    representation = try WrittenImage(in: directory.path).open()
  }

  @Test func everyFileIsMetOnceAndWhatCannotBeReadIsLeftOut() throws {
    var files: [String: UInt64] = [:]
    var directories = 0
    try FileWalk(of: representation, below: top).forEach(directoryEnded: { directories += 1 }) {
      files[$0.path] = $0.size
    }
    #expect(files.count == 2)
    // Under one of its names.
    #expect((files["/a"] ?? files["/d/again"]) == 3)
    #expect(files["/d/e/b"] == 1)
    // The top, d, e, and the one of which nothing is known.
    #expect(directories == 4)
    let below = try representation.node(at: "d/e", below: top)
    var paths: [String] = []
    try FileWalk(of: representation, below: below).forEach { paths.append($0.path) }
    #expect(paths == ["/b"])
  }

  @Test func pathsAreFollowed() throws {
    for (path, inode) in [
      ("", 256), ("/", 256), (".", 256), ("/a", 257), ("a", 257), ("//d//.//again", 257),
      ("d/e/b", 260), ("/d/e/", 259), ("lost", 262),
    ] as [(String, UInt64)] {
      let node = try representation.node(at: path, below: top)
      #expect(try representation.inode(of: node) == inode, "\(path)")
    }
    for path in ["b", "a/b", "d/..", "d/e/b/c", "A"] {
      let error = #expect(throws: Failure.self) { try representation.node(at: path, below: top) }
      #expect(error?.description == "the image “sample” has no file “\(path)”")
    }
  }
}
