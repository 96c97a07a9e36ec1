import SeededNumbers
import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// Parts of nodes that could not be read when the image was frozen: they are there, and
/// whoever asks for them is told so.
@Suite struct UnreadableTests {
  private func write(
    _ steps: (inout RepresentationWriter) throws -> Void
  ) throws -> [UInt8] {
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [Sample.volume()], scratch: scratch)
    try steps(&writer)
    try writer.finish(rootInode: 256, rootName: "data")
    return scratch.result
  }

  private func open(_ bytes: [UInt8]) throws -> Representation {
    let representation = try Representation(ArrayRegion(bytes))
    try representation.check()
    return representation
  }

  private func node(_ path: String, in representation: Representation) throws -> NodeIndex {
    var node = representation.roots[0].node
    for name in path.split(separator: "/") {
      let found = try Array(name.utf8).lend { try representation.lookup($0, in: node) }
      node = try #require(found)
    }
    return node
  }

  /// The reasons by path and part.
  private func reasons(_ representation: Representation) throws -> [String: String] {
    var paths = UnreadablePaths(of: representation)
    var reasons: [String: String] = [:]
    for index in 0..<representation.unreadableCount {
      let part = try representation.unreadablePart(at: index)
      let path = try paths.path(of: part).map { String(decoding: $0, as: UTF8.self) }
      reasons["\(path ?? "-") \(part.part)"] = part.reason
    }
    return reasons
  }

  /// A file of which the second block is unreadable, in d; a link, and an unknown node.
  private func sample() throws -> [UInt8] {
    try write { writer in
      try writer.directory(
        256, ("d", .directory, 257), ("link", .symbolicLink, 259), ("lost", .regular, 260))
      try writer.directory(257, ("file", .regular, 258))
      try writer.beginNode(Sample.attributes(.regular, inode: 258, size: 12288))
      let place = FileExtent.Source.stored(StoreAddress(store: StoreID(rawValue: 0), offset: 0))
      try writer.addExtent(FileExtent(offset: 0, length: 4096, source: place), checksums: nil)
      try writer.addUnreadable(offset: 4096, length: 4096, reason: "a bad block")
      try writer.addExtent(FileExtent(offset: 8192, length: 4096, source: place), checksums: nil)
      try writer.attribute("user.a", [1])
      try writer.markUnreadable(.extendedAttributes, reason: "a bad attribute")
      try writer.endNode()
      try writer.beginNode(Sample.attributes(.symbolicLink, inode: 259))
      try writer.markUnreadable(.content, reason: "no key")
      try writer.endNode()
      try writer.addUnreadableNode(inode: 260, type: .regular, reason: "a bad inode")
    }
  }

  @Test func eachPartSaysWhyAndWhere() throws {
    let representation = try open(sample())
    #expect(
      try reasons(representation) == [
        "/d/file content": "a bad block", "/d/file extendedAttributes": "a bad attribute",
        "/link content": "no key", "/lost node": "a bad inode",
      ])
  }

  @Test func onlyWhatIsUnreadableFails() throws {
    let image = try open(sample())
    let file = try node("d/file", in: image)
    #expect(
      try image.extents(of: file, in: 0..<12288).map { $0.source == .unreadable } == [
        false, true, false,
      ])
    #expect(try image.nextHole(of: file, from: 0) == 12288)
    #expect(throws: RepresentationError.unreadable(file, reason: "a bad attribute")) {
      try image.extendedAttributes(of: file)
    }
    let known = try Array("user.a".utf8).lend {
      try image.extendedAttribute($0, of: file).map(Array.init)
    }
    #expect(known == [1])
    #expect(throws: RepresentationError.unreadable(file, reason: "a bad attribute")) {
      try Array("user.b".utf8).lend { try image.extendedAttribute($0, of: file) }
    }
    let link = try node("link", in: image)
    #expect(try image.attributes(of: link).inode == 259)
    #expect(throws: RepresentationError.unreadable(link, reason: "no key")) {
      try image.symbolicLinkTarget(of: link)
    }
    let lost = try node("lost", in: image)
    #expect(try image.inode(of: lost) == 260)
    let reason = RepresentationError.unreadable(lost, reason: "a bad inode")
    #expect(throws: reason) { try image.attributes(of: lost) }
    #expect(throws: reason) { try image.extents(of: lost, in: 0..<1) }
    #expect(throws: reason) { try image.extendedAttributes(of: lost) }
  }

  @Test func aDirectoryEndsWithAnError() throws {
    let image = try open(
      write { writer in
        try writer.beginNode(Sample.attributes(.directory, inode: 256))
        try writer.entry("a", 257)
        try writer.markRest(reason: "a bad block")
        try writer.endNode()
        try writer.beginNode(Sample.attributes(.regular, inode: 257))
        try writer.endNode()
      })
    let top = image.roots[0].node
    #expect(try image.entry(at: 0, of: top) != nil)
    #expect(try node("a", in: image) != top)
    let reason = RepresentationError.unreadable(top, reason: "a bad block")
    #expect(throws: reason) { try image.entry(at: 1, of: top) }
    #expect(throws: reason) { try node("b", in: image) }
    #expect(try reasons(image) == ["/ content": "a bad block"])
  }

  /// What no representation can hold costs no more than itself.
  @Test func whatBreaksARuleIsMarked() throws {
    let image = try open(
      write { writer in
        try writer.beginNode(Sample.attributes(.directory, inode: 256))
        for name in ["", ".", "..", "a/b", "a\0", String(repeating: "n", count: 256)] {
          try writer.entry(name, 257)
        }
        try writer.entry("l", 257)
        try writer.entry("twice", 257)
        try writer.entry("twice", 258)
        try writer.entry("m", 258)
        try writer.attribute("user.a", [1])
        try writer.attribute("user.a", [2])
        try writer.attribute("user.b", [UInt8](repeating: 0, count: 65537))
        try writer.endNode()
        for (inode, target) in [(257, [0x61, 0]), (258, [])] as [(UInt64, [UInt8])] {
          try writer.beginNode(Sample.attributes(.symbolicLink, inode: inode))
          if !target.isEmpty { try target.lend { try writer.setSymbolicLinkTarget($0) } }
          try writer.endNode()
        }
      })
    let reasons = try reasons(image)
    #expect(
      reasons.keys.sorted() == [
        "/ content", "/ extendedAttributes", "/l content", "/m content",
      ])
    #expect(reasons["/ content"]?.contains("its name is empty") == true)
    #expect(reasons["/m content"] == "it has no target")
    // Of two of one name, the first counts. An entry's type is that of its node.
    #expect(try node("twice", in: image) == node("l", in: image))
    #expect(try image.entry(at: 0, of: image.roots[0].node)?.type == .symbolicLink)
    let value = try Array("user.a".utf8).lend {
      try image.extendedAttribute($0, of: image.roots[0].node).map(Array.init)
    }
    #expect(value == [1])
  }

  /// Who knows nothing of unreadable parts must not open the image; all others do.
  @Test func theFeatureIsIncompatibleAndOnlyThereWhenUsed() throws {
    #expect(try sample().lend { try SectionTable($0).incompatible } == 1)
    let plain = try write { try $0.directory(256) }
    let table = try plain.lend { try SectionTable($0) }
    #expect(table.incompatible == 0 && table.records.count == 16)
    var surgery = Surgery(try sample())
    surgery.put(UInt64(0), at: 16)
    surgery.seal()
    #expect(throws: RepresentationError.self) { try surgery.check() }
  }

  @Test(arguments: [
    // Field of the record, value, what is said.
    (0, 99 as UInt64, "there are only"), (0, 2, "its node cannot have content"),
    (8, 1, "does not lead to its node"), (16, 1, "does not lead to its node"),
    (16, .max, "does not lead to its node"), (24, .max - 5, "are not inside it"),
  ])
  func everyFieldIsChecked(field: Int, value: UInt64, words: String) throws {
    let bytes = try write { writer in
      try writer.directory(256, ("a", .regular, 257), ("f", .fifo, 258))
      try writer.beginNode(Sample.attributes(.regular, inode: 257, size: 100))
      try writer.markRest(reason: "why")
      try writer.endNode()
      try writer.beginNode(Sample.attributes(.fifo, inode: 258))
      try writer.endNode()
    }
    var surgery = Surgery(bytes)
    surgery.put(value, in: .unreadable, record: 0, at: field)
    surgery.seal()
    let problem = #expect(throws: RepresentationError.self) { try surgery.check() }
    // The extent without its reason may be found first.
    let text = problem.map { "\($0)" } ?? ""
    #expect(text.contains(words) || text.contains("does not say why"), "\(text)")
  }

  @Test func theLastBlockOfTheLargestFileIsHeld() throws {
    let last = UInt64(Int64.max) - 4095
    let place = FileExtent.Source.stored(StoreAddress(store: StoreID(rawValue: 0), offset: 0))
    let extent = FileExtent(offset: last, length: 4096, source: place)
    let image = try open(
      write { writer in
        try writer.directory(256, ("f", .regular, 257))
        try writer.beginNode(Sample.attributes(.regular, inode: 257, size: UInt64(Int64.max)))
        try writer.addExtent(extent, checksums: nil)
        try writer.endNode()
      })
    #expect(try image.extents(of: node("f", in: image), in: last..<last + 4096) == [extent])
  }
}

extension RepresentationWriter {
  fileprivate mutating func entry(_ name: String, _ inode: UInt64) throws {
    try Array(name.utf8).lend { try addEntry(name: $0, inode: inode, type: .regular) }
  }

  fileprivate mutating func attribute(_ name: String, _ value: [UInt8]) throws {
    try Array(name.utf8).lend { name in
      try value.lend { try addExtendedAttribute(name: name, value: $0) }
    }
  }

  fileprivate mutating func directory(
    _ inode: UInt64, _ children: (name: String, type: FileType, inode: UInt64)...
  ) throws {
    try beginNode(Sample.attributes(.directory, inode: inode))
    for child in children {
      try Array(child.name.utf8).lend {
        try addEntry(name: $0, inode: child.inode, type: child.type)
      }
    }
    try endNode()
  }
}
