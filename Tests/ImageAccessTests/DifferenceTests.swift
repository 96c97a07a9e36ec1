import DataSets
import FrozenImage
import HostSystem
import ImageAccess
import ImageFixtures
import LogicalRepresentation
import SystemPackage
import Testing

/// What `floe diff` tells of two images, from their representations alone.
@Suite struct DifferenceTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// A node of a test's tree.
  private struct Node {
    var attributes: NodeAttributes
    var entries: [(String, UInt64, FrozenImage.FileType)] = []
    var target = ""
    var extended: [String: [UInt8]] = [:]
    var lost: UnreadablePart?
  }

  private func file(
    _ inode: UInt64, size: UInt64 = 4096, changed: Int64 = 1_600_000_000,
    _ edit: (inout Node) -> Void = { _ in }
  ) -> Node {
    var node = Node(attributes: .sample(.regular, inode: inode, size: size))
    node.attributes.changed.seconds = changed
    edit(&node)
    return node
  }

  private func folder(_ inode: UInt64, _ entries: [(String, UInt64, FrozenImage.FileType)]) -> Node
  {
    Node(attributes: .sample(.directory, inode: inode), entries: entries)
  }

  private func image(_ nodes: [Node], lead: UInt32 = 1) throws -> Representation {
    let id = UniqueIdentifier.random()
    let path = directory.path.appending("\(id).floe")
    var writer = try RepresentationWriter(
      image: .sample(id, freezeLead: lead), volumes: [.sample()],
      scratch: FileScratch(writing: path))
    for node in nodes {
      try writer.beginNode(node.attributes)
      for (name, inode, type) in node.entries {
        try Array(name.utf8).withUnsafeBytes {
          try writer.addEntry(name: $0, inode: inode, type: type)
        }
      }
      for (name, value) in node.extended {
        try Array(name.utf8).withUnsafeBytes { name in
          try value.withUnsafeBytes { try writer.addExtendedAttribute(name: name, value: $0) }
        }
      }
      if !node.target.isEmpty {
        try Array(node.target.utf8).withUnsafeBytes { try writer.setSymbolicLinkTarget($0) }
      }
      if let lost = node.lost { try writer.markUnreadable(lost, reason: "a bad sector") }
      try writer.endNode()
    }
    try writer.finish(rootInode: 256, rootName: "data")
    return try Representation(MappedFile.copy(of: path))
  }

  private func difference(
    _ old: [Node], _ new: [Node], lead: UInt32 = 1
  ) throws -> [String: ImageDifference.Change] {
    let (before, now) = (try image(old, lead: lead), try image(new))
    var found: [String: ImageDifference.Change] = [:]
    try ImageDifference(
      from: before, at: before.roots[0].node, to: now, at: now.roots[0].node
    ).forEach(failed: { path, _ in found[String(decoding: path, as: UTF8.self) + "!"] = .removed })
    {
      let path = String(decoding: $0.path, as: UTF8.self)
      #expect(found.updateValue($0.change, forKey: path) == nil, "\(path) comes twice")
    }
    return found
  }

  @Test func entriesComeAndGo() throws {
    let old = [
      folder(256, [("a", 257, .regular), ("d", 258, .directory), ("z", 259, .regular)]),
      file(257), folder(258, [("x", 260, .regular)]), file(259), file(260),
    ]
    #expect(try difference(old, old).isEmpty)
    let new = [
      folder(256, [("b", 257, .regular), ("d", 261, .regular), ("e", 262, .directory)]),
      file(257), file(261), folder(262, [("y", 263, .regular)]), file(263),
    ]
    // A name that is another type now, with all that was below it.
    let expected: [String: ImageDifference.Change] = [
      "a": .removed, "b": .added, "d/x": .removed, "e": .added, "e/y": .added, "z": .removed,
    ]
    var found = [String: [ImageDifference.Change]]()
    let (before, now) = (try image(old), try image(new))
    try ImageDifference(
      from: before, at: before.roots[0].node, to: now, at: now.roots[0].node
    ).forEach(failed: { _, _ in }) {
      found[String(decoding: $0.path, as: UTF8.self), default: []].append($0.change)
    }
    #expect(found.removeValue(forKey: "d") == [.removed, .added])
    #expect(found == expected.mapValues { [$0] })
  }

  /// Each is one of the reasons that make a file's bytes no longer the same for certain.
  @Test func bytesAreTheSameOnlyWhereAllSaysSo() throws {
    let before = file(257)
    let edits: [(inout Node) -> Void] = [
      { $0.attributes.size = 4097 }, { $0.attributes.modified.nanoseconds = 1 },
      { $0.attributes.changed.nanoseconds = 1 },
      { $0.attributes.created = Timestamp(seconds: 5, nanoseconds: 0) },
    ]
    for edit in edits {
      var now = before
      edit(&now)
      let top = folder(256, [("f", 257, .regular)])
      let found = try difference([top, before], [top, now])
      guard case .changed(let aspects) = found["f"] else {
        Issue.record("\(found)")
        continue
      }
      #expect(aspects.first == .content && found.count == 1, "\(found)")
    }
    // Another inode of the same size and times.
    let found = try difference(
      [folder(256, [("f", 257, .regular)]), file(257)],
      [folder(256, [("f", 258, .regular)]), file(258)])
    #expect(found == ["f": .changed([.content])])
  }

  /// Nothing tells a second write within the same tick of the clock.
  @Test func aFileThatWasBeingWrittenIsTakenToBeChanged() throws {
    let top = folder(256, [("f", 257, .regular)])
    let created: Int64 = 1_700_000_000
    // The freeze began a minute before its time.
    for (changed, isChanged) in [(created - 62, false), (created - 61, true), (created, true)] {
      let nodes = [top, file(257, changed: changed)]
      #expect(try difference(nodes, nodes, lead: 60).isEmpty == !isChanged, "\(changed)")
    }
  }

  /// Where nobody knows when the data came to rest, it was not before their last change.
  @Test func whatChangedLastBeforeARestIsTakenToBeChanged() throws {
    let top = folder(
      256, [("a", 257, .regular), ("b", 258, .regular), ("c", 259, .regular), ("d", 260, .regular)])
    let newest: Int64 = 1_650_000_000
    func nodes(nanoseconds: [UInt32]) -> [Node] {
      [top]
        + nanoseconds.enumerated().map { index, nanoseconds in
          file(257 + UInt64(index), changed: newest) {
            $0.attributes.changed.nanoseconds = nanoseconds
          }
        }
    }
    let fine = nodes(nanoseconds: [500_000_000, 495_000_000, 470_000_000, 0])
    #expect(try Set(difference(fine, fine, lead: 0).keys) == ["a", "b"])
    // A file system that keeps whole seconds.
    var coarse = nodes(nanoseconds: [0, 0, 0, 0])
    coarse[3].attributes.changed.seconds -= 1
    coarse[4].attributes.changed.seconds -= 2
    #expect(try Set(difference(coarse, coarse, lead: 0).keys) == ["a", "b", "c"])
    // A time of the future is no clock's.
    var skewed = fine
    skewed[4].attributes.changed.seconds = 1_800_000_000
    #expect(try Set(difference(skewed, skewed, lead: 0).keys) == ["a", "b", "d"])
  }

  @Test func whatIsNoContentIsNamed() throws {
    let top = folder(
      256, [("f", 257, .regular), ("l", 258, .symbolicLink), ("p", 259, .fifo)])
    let link = Node(attributes: .sample(.symbolicLink, inode: 258, size: 1), target: "a")
    let pipe = Node(attributes: .sample(.fifo, inode: 259))
    var owned = file(257)
    owned.attributes.owner = 7
    owned.extended = ["user.a": [1]]
    var other = link
    other.target = "b"
    var later = pipe
    later.attributes.modified.seconds += 1
    let found = try difference([top, file(257), link, pipe], [top, owned, other, later])
    #expect(
      found == [
        "f": .changed([.permissions, .attributes]), "l": .changed([.content]),
        "p": .changed([.time]),
      ])
  }

  /// What could not be read in one of them is never taken to be the same; the rest is compared.
  @Test func whatIsUnreadableIsToldAndCostsNoMore() throws {
    let top = folder(
      256, [("d", 258, .directory), ("f", 257, .regular), ("g", 259, .regular)])
    let lost = file(257) { $0.lost = .content }
    var torn = folder(258, [])
    torn.lost = .content
    let found = try difference(
      [top, file(257), folder(258, []), file(259)], [top, lost, torn, file(259, size: 1)])
    #expect(found["d!"] != nil)
    #expect(found["f"] == .changed([.unreadable]))
    #expect(found["g"] == .changed([.content]))
    #expect(found.count == 3, "\(found)")
  }
}
