import FrozenImage
import LogicalRepresentation

@testable import ImageReader

/// An input is a representation, whose checksums are made right. Whatever it is, questions
/// about it have answers or errors; when it passes the check, it is a sound tree.
func fuzzRepresentation(_ input: [UInt8]) {
  // A hostile file is quadratically slow before the check, which is no finding.
  guard (64...32768).contains(input.count) else { return }
  var surgery = Surgery(input)
  surgery.seal()
  guard let opened = try? Representation(ArrayRegion(surgery.bytes)) else { return }
  if opened.nodeCount <= 64 { opened.askEverything() }
  guard (try? opened.check()) != nil else { return }
  for root in opened.roots {
    var walk = TreeWalk(of: opened, root)
    walk.run()
  }
}

/// Goes through a tree that passed the check, and expects it to be one.
private struct TreeWalk {
  let image: Representation
  let root: Root
  let volume: VolumeDescription
  var met: Set<NodeIndex> = []

  init(of image: Representation, _ root: Root) {
    self.image = image
    self.root = root
    volume = image.volumes[root.volume]
  }

  mutating func run() {
    var level = [root.node]
    while let directory = level.popLast() {
      require(met.insert(directory).inserted, "no directory is met twice")
      var position: UInt64 = 0
      while let entry = expected({ try image.entry(at: position, of: directory) }) ?? nil {
        position += 1
        let name = Array(entry.name)
        require(
          !name.isEmpty && name.count <= 255 && !name.contains(0)
            && !name.contains(UInt8(ascii: "/")) && name != Array(".".utf8)
            && name != Array("..".utf8), "names are names")
        require(
          try image.lookup(entry.name, in: directory) == entry.node, "an entry is found by its name"
        )
        guard entry.type == .directory else {
          use(entry.node, as: entry.type)
          continue
        }
        require(try image.parent(of: entry.node) == directory, "a directory has one parent")
        level.append(entry.node)
      }
      use(directory, as: .directory)
    }
  }

  private func use(_ node: NodeIndex, as type: FileType) {
    require(try image.attributes(of: node).type == type, "an entry has its node's type")
    let attributes = expected { try image.extendedAttributes(of: node) } ?? []
    require(attributes.allSatisfy { $0.value.count <= 65536 }, "attributes fit a system call")
    if type == .symbolicLink {
      let target = expected { try image.symbolicLinkTarget(of: node) }
      require((1...4095).contains(target?.count ?? 0), "a link's target fits a path")
    }
    if type == .regular { useFile(node) }
  }

  private func useFile(_ file: NodeIndex) {
    let extents = expected { try image.extents(of: file, in: 0 ..< .max) } ?? []
    let size = expected { try image.attributes(of: file).size } ?? 0
    for offset in Set([0, size / 2] + extents.prefix(64).map(\.offset)) {
      let end = min(offset + 8192, max(offset, UInt64(Int64.max)))
      guard offset < end else { continue }
      usePortion(Portion(inode: file.rawValue, range: offset..<end), of: file)
      _ = expected { try image.nextData(of: file, from: offset) }
      _ = expected { try image.nextHole(of: file, from: offset) }
    }
  }

  /// Plans the read of a portion: every place lies on a medium that is described.
  private func usePortion(_ portion: Portion, of file: NodeIndex) {
    let range = portion.range
    let extents = expected { try image.extents(of: file, in: range) } ?? []
    let runs = expected { try image.checksums(of: file, in: range) } ?? []
    let compressed = expected { try image.compressedChecksums(of: file, in: range) } ?? []
    let content = PortionContent(
      extents: extents,
      checksummed: runs.map { run in
        let blocks = run.bytes.count / run.algorithm.width
        return (run.offset..<run.offset + UInt64(blocks * run.blockSize)).clamped(to: range)
      }, checksummedRuns: compressed.map(\.extent))
    // As the read rule checks the places of a volume whose stores overlap nothing.
    var planner = Planner(
      portion: portion, content: content, map: volume.map, lost: [], mapIsNew: false)
    let plan = planner.plan(with: Overlay())
    require(plan != nil, "what a checked representation maps can be planned")
    for piece in plan?.pieces ?? [] {
      if case .media(let copies) = piece.source {
        for copy in copies { requireInside(copy, piece.range.upperBound - piece.range.lowerBound) }
      }
      if case .inline(let offset) = piece.source {
        require(
          try image.heapBytes(at: offset, count: 1).count == 1, "inline bytes lie in the heap")
      }
    }
  }

  private func requireInside(_ place: MediumAddress, _ length: UInt64) {
    let medium = volume.media.first { $0.id == place.medium }
    require(medium != nil, "a place lies on a medium that is described")
    let size = medium?.size ?? 0
    require(place.offset <= size && length <= size - place.offset, "a place lies on its medium")
  }

  /// An answer about what passed the check.
  private func expected<Answer>(_ answer: () throws -> Answer) -> Answer? {
    do { return try answer() } catch {
      fatalError("a checked representation answers, but: \(error)")
    }
  }
}
