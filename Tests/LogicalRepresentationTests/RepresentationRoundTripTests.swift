import FrozenImage
import LogicalRepresentation
import SeededNumbers
import Testing

/// What is written is what is read.
@Suite struct RepresentationRoundTripTests {
  @Test func randomTreesReadBackEqual() throws {
    let seed = testSeed()
    for round in 0..<60 {
      let tree = RandomTree(count: round * round / 20 + 1, seed: seed &+ UInt64(round))
      let bytes = try represent(tree.nodes, top: tree.top, seed: seed)
      let representation = try Representation(ArrayRegion(bytes))
      try representation.check()
      #expect(try representation.wholeTree() == tree.nodes, "round \(round)")
      try expectLookups(representation, tree)
      try expectRanges(representation, tree, seed: seed)
    }
  }

  @Test func descriptionsReadBackEqual() throws {
    let tree = RandomTree(count: 3, seed: 1)
    let bytes = try represent(tree.nodes, top: tree.top)
    let representation = try Representation(ArrayRegion(bytes))
    #expect(representation.image == Sample.image())
    #expect(representation.volumes == [try Sample.volume()])
    #expect(representation.roots.map(\.name) == ["data"])
    #expect(representation.roots.map(\.volume) == [0])
    #expect(try representation.attributes(of: representation.roots[0].node).inode == tree.top)
  }

  /// Every child is found by its name, and names that are not there are not.
  private func expectLookups(_ representation: Representation, _ tree: RandomTree) throws {
    for node in tree.nodes {
      let index = try #require(
        try representation.node(withInode: node.attributes.inode, inRoot: 0))
      guard node.attributes.type == .directory else {
        #expect(throws: RepresentationError.wrongType(index, expected: .directory)) {
          try [0x61].lend { try representation.lookup($0, in: index) }
        }
        continue
      }
      #expect(try representation.entry(at: UInt64(node.children.count), of: index) == nil)
      for child in node.children {
        let found = try #require(try child.name.lend { try representation.lookup($0, in: index) })
        #expect(try representation.attributes(of: found).inode == child.inode)
        let longer = child.name + [0x61]
        if !node.children.contains(where: { $0.name == longer }) {
          #expect(try longer.lend { try representation.lookup($0, in: index) } == nil)
        }
      }
    }
    #expect(try representation.node(withInode: 2, inRoot: 0) == nil)
    #expect(try representation.node(withInode: 0, inRoot: 1) == nil)
  }

  /// Extents, checksums, data and holes of random ranges agree with the whole file's.
  private func expectRanges(
    _ representation: Representation, _ tree: RandomTree, seed: UInt64
  ) throws {
    var generator = SeededGenerator(seed: seed)
    for node in tree.nodes where node.attributes.type == .regular {
      let index = try #require(
        try representation.node(withInode: node.attributes.inode, inRoot: 0))
      for _ in 0..<8 {
        let start = UInt64.random(in: 0...60 * Sample.block, using: &generator)
        let range = start..<start + .random(in: 0...20 * Sample.block, using: &generator)
        let expected = node.extents.compactMap { $0.clipped(to: range) }
        let found = try representation.extents(of: index, in: range)
        #expect(found.map { $0.offset..<$0.end } == expected.map { $0.offset..<$0.end })
        let blocks = Set(
          try representation.checksums(of: index, in: range).flatMap { run in
            (0..<run.bytes.count / run.algorithm.width).map {
              run.offset + UInt64($0 * run.blockSize)
            }
          })
        let touched = node.checksums.keys.filter {
          $0 < range.upperBound && $0 + Sample.block > range.lowerBound && !range.isEmpty
        }
        #expect(blocks == Set(touched))
        // The checksums of a compressed run come whole, with the part of it that is asked for.
        let runs = try representation.compressedChecksums(of: index, in: range)
        let judged = node.extents.filter { node.runChecksums[$0.offset] != nil }
        #expect(runs.map(\.extent) == judged.compactMap { $0.clipped(to: range) })
        for run in runs {
          let whole = judged.first { $0.clipped(to: range) == run.extent }
          #expect(Array(run.bytes) == whole.flatMap { node.runChecksums[$0.offset] })
        }
        try expectSeek(representation, index, node, from: start)
      }
    }
  }

  private func expectSeek(
    _ representation: Representation, _ index: NodeIndex, _ node: TreeNode, from start: UInt64
  ) throws {
    let size = node.attributes.size
    let data = node.extents.filter { $0.source != .unwritten }
    let isData = { (offset: UInt64) in data.contains { $0.offset <= offset && offset < $0.end } }
    // Data begins and ends only where an extent does.
    let edges = (node.extents.flatMap { [$0.offset, $0.end] } + [start]).sorted()
    let candidates = edges.filter { $0 >= start && $0 < size }
    #expect(try representation.nextData(of: index, from: start) == candidates.first(where: isData))
    let hole = candidates.first { !isData($0) } ?? size
    #expect(try representation.nextHole(of: index, from: start) == (start < size ? hole : nil))
  }

  @Test func aTreeOfOneDirectoryAndNothingElse() throws {
    let top = TreeNode(attributes: Sample.attributes(.directory, inode: 256), parent: 256)
    let representation = try Representation(ArrayRegion(try represent([top], top: 256)))
    try representation.check()
    #expect(try representation.wholeTree() == [top])
    #expect(try representation.parent(of: representation.roots[0].node).rawValue == 0)
  }

  @Test func inlineBytesThatAreMissingAreAHole() throws {
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [Sample.volume()], scratch: scratch)
    try writer.beginNode(Sample.attributes(.directory, inode: 256))
    try Array("f".utf8).lend { try writer.addEntry(name: $0, inode: 257, type: .regular) }
    try writer.endNode()
    try writer.beginNode(Sample.attributes(.regular, inode: 257, size: 4096))
    try Array("abc".utf8).lend { try writer.addInline(offset: 0, length: 4096, bytes: $0) }
    try writer.endNode()
    try writer.finish(rootInode: 256, rootName: "")
    let representation = try Representation(ArrayRegion(scratch.result))
    try representation.check()
    let file = NodeIndex(rawValue: 1)
    let extents = try representation.extents(of: file, in: 0..<4096)
    #expect(extents.map(\.length) == [3])
    #expect(try representation.nextHole(of: file, from: 0) == 3)
    #expect(try representation.nextData(of: file, from: 3) == nil)
  }

  /// Two trees in one representation, as an image and its volume are.
  @Test func severalRootsHaveTreesOfTheirOwn() throws {
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [Sample.volume()], scratch: scratch)
    for (top, name) in [(UInt64(2), "file"), (1 << 62, "data.img")] {
      try writer.beginNode(Sample.attributes(.directory, inode: top))
      try Array(name.utf8).lend { try writer.addEntry(name: $0, inode: top + 1, type: .regular) }
      try writer.endNode()
      try writer.beginNode(Sample.attributes(.regular, inode: top + 1, size: 10))
      try writer.endNode()
    }
    try writer.finish([
      WrittenRoot(name: "files", view: .tree, top: 2, first: 0),
      WrittenRoot(name: "volume", view: .volume, top: 1 << 62, first: 1 << 62),
    ])
    let representation = try Representation(ArrayRegion(scratch.result))
    try representation.check()
    #expect(representation.roots.map(\.view) == [.tree, .volume])
    for (root, name) in zip(representation.roots, ["file", "data.img"]) {
      let found = try Array(name.utf8).lend { try representation.lookup($0, in: root.node) }
      let node = try #require(found)
      let top = try representation.attributes(of: root.node).inode
      #expect(try representation.attributes(of: node).inode == top + 1)
      #expect(try representation.parent(of: root.node) == root.node)
      // Nothing of the other tree is there.
      let other = name == "file" ? "data.img" : "file"
      #expect(try Array(other.utf8).lend { try representation.lookup($0, in: root.node) } == nil)
    }
  }

  /// An entry that leads into another tree.
  @Test func aRootThatReachesIntoAnotherIsRefused() throws {
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [Sample.volume()], scratch: scratch)
    try writer.beginNode(Sample.attributes(.directory, inode: 2))
    try Array("stray".utf8).lend { try writer.addEntry(name: $0, inode: 101, type: .regular) }
    try writer.endNode()
    try writer.beginNode(Sample.attributes(.directory, inode: 100))
    try writer.endNode()
    try writer.beginNode(Sample.attributes(.regular, inode: 101, size: 10))
    try writer.endNode()
    try writer.finish([
      WrittenRoot(name: "files", view: .tree, top: 2, first: 0),
      WrittenRoot(name: "volume", view: .volume, top: 100, first: 100),
    ])
    let representation = try Representation(ArrayRegion(scratch.result))
    #expect(throws: RepresentationError.self) { try representation.check() }
  }

  @Test func aDeepTreeIsWrittenAndChecked() throws {
    let depth: UInt64 = 20_000
    var nodes: [TreeNode] = []
    // The deepest directory has the lowest number, so parents come after children.
    for inode in 1...depth {
      var node = TreeNode(
        attributes: Sample.attributes(.directory, inode: inode), parent: min(inode + 1, depth))
      if inode > 1 {
        node.children = [
          TreeNode.Child(name: [0x64], type: .directory, inode: inode - 1, placeholder: nil)
        ]
      }
      nodes.append(node)
    }
    let representation = try Representation(ArrayRegion(try represent(nodes, top: depth)))
    try representation.check()
    #expect(try representation.wholeTree() == nodes)
  }
}
