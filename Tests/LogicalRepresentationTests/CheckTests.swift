import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// Each rule of the format, broken by itself with all checksums right: the check names
/// the record and the problem.
@Suite struct CheckTests {
  /// The records of `sample()`, by what they are.
  enum Node {
    static let top = 0
    static let sub = 1
    static let file = 2
    static let link = 3
    static let fifo = 4
    static let deep = 5
    static let nested = 6
  }

  /// Byte offsets of fields.
  enum Field {
    static let inode = 0
    static let size = 16
    static let accessedNanoseconds = 72
    static let mode = 88
    static let links = 92
    static let depth = 112
    static let attributeCount = 116
    static let parent = 120
    static let first = 128
    static let count = 136
    static let firstAttribute = 144
  }

  /// ```
  /// 256/ ── a/ (257) ── deep/ (261) ── nested/ (placeholder)
  ///      ├─ b     (258, four extents, two xattrs)
  ///      ├─ c     (258 again)
  ///      ├─ l     (259, symbolic link)
  ///      └─ p     (260, FIFO)
  /// ```
  /// Entries: 0 a, 1 b, 2 c, 3 l, 4 p (of the top), 5 deep, 6 nested.
  func sample() throws -> Surgery {
    func child(_ name: String, _ type: FileType, _ inode: UInt64) -> TreeNode.Child {
      TreeNode.Child(name: Array(name.utf8), type: type, inode: inode, placeholder: nil)
    }
    var top = TreeNode(attributes: Sample.attributes(.directory, inode: 256), parent: 256)
    top.children = [
      child("a", .directory, 257), child("b", .regular, 258), child("c", .regular, 258),
      child("l", .symbolicLink, 259), child("p", .fifo, 260),
    ]
    var sub = TreeNode(attributes: Sample.attributes(.directory, inode: 257), parent: 256)
    sub.children = [child("deep", .directory, 261)]
    var file = TreeNode(attributes: Sample.attributes(.regular, inode: 258, size: 30_000, links: 2))
    let place = StoreAddress(store: StoreID(rawValue: 0), offset: 8192)
    file.add(FileExtent(offset: 0, length: 4096, source: .inline(heapOffset: 0)))
    file.inline = [Array(repeating: 7, count: 4096)]
    file.add(FileExtent(offset: 4096, length: 8192, source: .stored(place)))
    file.checksums = [4096: [1, 2, 3, 4], 8192: [5, 6, 7, 8]]
    file.add(FileExtent(offset: 16384, length: 4096, source: .unwritten))
    let run = try #require(
      CompressedRun(
        algorithm: .zstd, address: StoreAddress(store: StoreID(rawValue: 0), offset: 16384),
        storedLength: 8192, decodedLength: 131_072, offset: 4096))
    file.add(FileExtent(offset: 20480, length: 12288, source: .compressed(run)))
    file.checksums[20480] = [1, 1, 1, 1, 2, 2, 2, 2]
    file.extendedAttributes = [Array("user.a".utf8): [1], Array("user.b".utf8): []]
    var link = TreeNode(attributes: Sample.attributes(.symbolicLink, inode: 259, size: 1))
    link.target = Array("b".utf8)
    let fifo = TreeNode(attributes: Sample.attributes(.fifo, inode: 260))
    var deep = TreeNode(attributes: Sample.attributes(.directory, inode: 261), parent: 257)
    var nested = child("nested", .directory, 2)
    nested.placeholder = Sample.attributes(.directory, inode: 2)
    deep.children = [nested]
    return Surgery(try represent([top, sub, file, link, fifo, deep], top: 256))
  }

  /// A top directory whose only child comes before it, so that the child's record is
  /// checked before the entry that leads to it.
  func childBeforeParent() throws -> Surgery {
    let sub = TreeNode(attributes: Sample.attributes(.directory, inode: 5), parent: 6)
    var top = TreeNode(attributes: Sample.attributes(.directory, inode: 6), parent: 6)
    top.children = [TreeNode.Child(name: [0x61], type: .directory, inode: 5, placeholder: nil)]
    return Surgery(try represent([sub, top], top: 6))
  }

  /// Breaks a sound representation, by default the sample, and expects a refusal with these words in it.
  func expect(
    _ words: String, of sound: Surgery? = nil, location: SourceLocation = #_sourceLocation,
    _ break: (inout Surgery) -> Void
  ) throws {
    var surgery = try sound ?? sample()
    try surgery.check()
    `break`(&surgery)
    surgery.seal()
    do {
      try surgery.check()
      Issue.record("it was accepted: \(words)", sourceLocation: location)
    } catch {
      #expect(error.description.contains(words), sourceLocation: location)
    }
  }

  @Test func rulesOfNodes() throws {
    try expect("node 2: its inode 257 is not in ascending order") {
      $0.put(UInt64(257), in: .nodes, record: Node.file, at: Field.inode)
    }
    try expect("node 2: its link count is 0") {
      $0.put(UInt32(0), in: .nodes, record: Node.file, at: Field.links)
    }
    try expect("node 0: its mode 30644 names no file type", of: try childBeforeParent()) {
      $0.put(UInt32(0o30644), in: .nodes, record: 0, at: Field.mode)
    }
    try expect("node 2: its size") {
      $0.put(UInt64.max, in: .nodes, record: Node.file, at: Field.size)
    }
    try expect("node 2: a time has 1000000000 nanoseconds") {
      $0.put(UInt32(1_000_000_000), in: .nodes, record: Node.file, at: Field.accessedNanoseconds)
    }
    try expect("node 4: it has content") {
      $0.put(UInt64(1), in: .nodes, record: Node.fifo, at: Field.count)
    }
    try expect("node 3: its target has 4096 bytes") {
      $0.put(UInt64(4096), in: .nodes, record: Node.link, at: Field.count)
    }
    try expect("node 3: its target has 0 bytes") {
      $0.put(UInt64(0), in: .nodes, record: Node.link, at: Field.count)
    }
    try expect("heap: 1 bytes at 18446744073709551615 are not inside it") {
      $0.put(UInt64.max, in: .nodes, record: Node.link, at: Field.first)
    }
    try expect("node 6: it stands for a nested tree and is not an empty directory") {
      $0.put(UInt64(1), in: .nodes, record: Node.nested, at: Field.count)
    }
  }

  @Test func rulesOfTheTree() throws {
    try expect("node 0: it is the top directory and has another parent") {
      $0.put(UInt64(1), in: .nodes, record: Node.top, at: Field.parent)
    }
    try expect("node 0: its parent is no node of its tree", of: try childBeforeParent()) {
      $0.put(UInt64(2), in: .nodes, record: 0, at: Field.parent)
    }
    try expect("node 0: it is as deep as the top directory", of: try childBeforeParent()) {
      $0.put(UInt32(0), in: .nodes, record: 0, at: Field.depth)
    }
    try expect("node 2: it has a parent or a depth and is not a directory") {
      $0.put(UInt64(0), in: .nodes, record: Node.file, at: Field.parent)
    }
    // A directory below its own child: each has an entry, and none leads to the top.
    try expect("has another parent or depth") {
      $0.put(UInt64(5), in: .nodes, record: Node.sub, at: Field.parent)
      $0.put(UInt64(Node.sub), in: .entries, record: 6, at: 0)
      $0.put(UInt64(Node.nested), in: .entries, record: 0, at: 0)
    }
    try expect("the directory that it leads to, node 5, has another parent or depth") {
      $0.put(UInt32(3), in: .nodes, record: Node.deep, at: Field.depth)
    }
    try expect("entry 1 (\"b\"): it is the second entry for the directory 1") {
      $0.put(UInt64(Node.sub), in: .entries, record: 1, at: 0)
      $0.put(FileType.directory.rawValue, in: .entries, record: 1, at: 18)
    }
    try expect("node 1: no entry leads to this directory") {
      $0.put(UInt64(Node.file), in: .entries, record: 0, at: 0)
      $0.put(FileType.regular.rawValue, in: .entries, record: 0, at: 18)
    }
    try expect("root 0: its top directory is not one of its nodes") {
      $0.put(UInt64(6), in: .roots, record: 0, at: 16)
    }
    try expect("root data: its top node is not a directory") {
      $0.put(UInt64(Node.file), in: .roots, record: 0, at: 16)
    }
    try expect("section roots: there are nodes that no root has") {
      $0.put(UInt64(0), in: .roots, record: 0, at: 32)
    }
  }

  @Test func rulesOfEntries() throws {
    try expect("entry 1 (\"b\"): its type is not that of node 2") {
      $0.put(FileType.fifo.rawValue, in: .entries, record: 1, at: 18)
    }
    try expect("entry 1: its type 99 is not known") {
      $0.put(UInt8(99), in: .entries, record: 1, at: 18)
    }
    try expect("entry 1: there is no node 7") {
      $0.put(UInt64(7), in: .entries, record: 1, at: 0)
    }
    try expect("its name is empty") { $0.put(UInt16(0), in: .entries, record: 1, at: 16) }
    try expect("its name has more than 255 bytes") {
      $0.put(UInt64(0), in: .entries, record: 1, at: 8)
      $0.put(UInt16(256), in: .entries, record: 1, at: 16)
    }
    for (name, words) in [
      (".", "its name is . or .."), ("/", "its name has a NUL or a slash in it"),
      ("\0", "its name has a NUL or a slash in it"), ("a", "its name is not in ascending order"),
      ("c", "its name is not in ascending order"),
    ] {
      try expect(words) { surgery in
        // The names of the top directory lie in the heap one after the other.
        let name = Array(name.utf8)
        surgery.put(name[0], at: surgery.offset(of: .heap) + 1)
      }
    }
    try expect("node 1: its entries do not follow those before") {
      $0.put(UInt64(4), in: .nodes, record: Node.sub, at: Field.first)
    }
    try expect("node 0: its entry records 0 + 8 leave the section") {
      $0.put(UInt64(8), in: .nodes, record: Node.top, at: Field.count)
    }
  }

  @Test func rulesOfExtents() throws {
    try expect("extent 1 of node 2: it overlaps the one before it") {
      $0.put(UInt64(4095), in: .extents, record: 1, at: 0)
    }
    try expect("extent 1: it is empty, too long, of an unknown kind") {
      $0.put(UInt64(0), in: .extents, record: 1, at: 8)
    }
    try expect("extent 1: it is empty, too long, of an unknown kind") {
      $0.put(UInt64.max - 4000, in: .extents, record: 1, at: 8)
    }
    try expect("extent 2: it is empty, too long, of an unknown kind") {
      $0.put(UInt8(9), in: .extents, record: 2, at: 36)
    }
    try expect("extent 2 of node 2: it ends too far out") {
      $0.put(UInt64(Int64.max), in: .extents, record: 2, at: 8)
    }
    try expect("extent 1 of node 2: store 5 does not map all of it") {
      $0.put(UInt32(5), in: .extents, record: 1, at: 32)
    }
    try expect("extent 1 of node 2: store 0 does not map all of it") {
      $0.put(Sample.storeSize - 8191, in: .extents, record: 1, at: 16)
    }
    try expect("heap: 4096 bytes at 100000 are not inside it") {
      $0.put(UInt64(100_000), in: .extents, record: 0, at: 16)
    }
    try expect("extent 1 of node 2: its checksums do not follow those before") {
      $0.put(UInt64(4), in: .extents, record: 1, at: 24)
    }
    try expect("extent 1 of node 2: it has checksums and is not made of whole blocks") {
      $0.put(UInt64(8191), in: .extents, record: 1, at: 8)
    }
    try expect("section checksums: 5 checksums at 0 are not inside it") {
      $0.put(UInt64(20480), in: .extents, record: 1, at: 8)
    }
    try expect("extent 1 of node 2: it has checksums and its volume has none") {
      $0.put(UInt16(0), in: .volumes, record: 0, at: 36)
    }
    try expect("section nodes: there are records that no node has") {
      $0.put(Format.none, in: .extents, record: 3, at: 24)
    }
  }

  @Test func rulesOfCompressedRuns() throws {
    try expect("extent 3: it is empty, too long, of an unknown kind, or its compressed run") {
      $0.put(UInt64(1), in: .extents, record: 3, at: 16)
    }
    // Its address, lengths, offset and algorithm; what it decodes to is too short.
    for (field, value) in [
      (0, UInt64.max - 8000), (8, 0), (8, 1 << 20 + 1), (12, 0), (12, 1 << 20 + 1), (16, 131_072),
      (24, 0), (24, 8), (12, 16383),
    ] {
      try expect("extent 3: it is empty, too long, of an unknown kind, or its compressed run") {
        switch field {
        case 0: $0.put(value, in: .compressedRuns, record: 0, at: field)
        case 24: $0.put(UInt8(value), in: .compressedRuns, record: 0, at: field)
        default: $0.put(UInt32(value), in: .compressedRuns, record: 0, at: field)
        }
      }
    }
    try expect("extent 3 of node 2: store 0 does not map its compressed run") {
      $0.put(Sample.storeSize - 8191, in: .compressedRuns, record: 0, at: 0)
    }
    try expect("extent 3 of node 2: store 5 does not map its compressed run") {
      $0.put(UInt32(5), in: .compressedRuns, record: 0, at: 20)
    }
    try expect("extent 3 of node 2: it has checksums and is not made of whole blocks") {
      $0.put(UInt32(8191), in: .compressedRuns, record: 0, at: 8)
    }
    try expect("section checksums: 3 checksums at 8 are not inside it") {
      $0.put(UInt32(12288), in: .compressedRuns, record: 0, at: 8)
    }
    // Nobody owns the run.
    try expect("section nodes: there are records that no node has") {
      $0.put(UInt8(3), in: .extents, record: 3, at: 36)
      $0.put(Format.none, in: .extents, record: 3, at: 24)
    }
    // Two own it.
    try expect("extent 3 of node 2: its compressed run does not follow those before") {
      $0.put(UInt64(0), in: .extents, record: 2, at: 16)
      $0.put(UInt8(4), in: .extents, record: 2, at: 36)
    }
  }

  @Test func rulesOfExtendedAttributes() throws {
    try expect("extended attribute 1 of node 2: its name is not in ascending order") { surgery in
      let name = surgery.offset(of: .extendedAttributes)
      surgery.put(UInt64(0), at: name)
      surgery.put(UInt64(0), at: name + 24)
    }
    try expect("extended attribute 0 of node 2: its name is empty") {
      $0.put(UInt16(0), in: .extendedAttributes, record: 0, at: 20)
    }
    try expect("heap: 4294967295 bytes at") {
      $0.put(UInt32.max, in: .extendedAttributes, record: 0, at: 16)
    }
    try expect("node 3: its extended attributes do not follow those before") {
      $0.put(UInt64(0), in: .nodes, record: Node.link, at: Field.firstAttribute)
    }
    try expect("node 2: its extended attribute records 0 + 3 leave the section") {
      $0.put(UInt32(3), in: .nodes, record: Node.file, at: Field.attributeCount)
    }
  }
}
