import FrozenImage

extension Representation {
  /// Proves that the representation keeps every rule of the format, so that the tree
  /// it gives is the tree that was written. Opening proved the header, the table and
  /// the descriptions already.
  ///
  /// One pass over each section; memory: one bit for each node.
  ///
  /// - Throws: `RepresentationError.damaged` with the first rule that is broken.
  public func check() throws(RepresentationError) {
    try checkSections()
    var coverages: [MapCoverage] = []
    for (index, volume) in volumes.enumerated() {
      let coverage = MapCoverage(volume.map, media: volume.media)
      if let problem = volume.problem(coverage) {
        throw .damaged(place: "volume \(index)", problem: problem)
      }
      coverages.append(coverage)
    }
    var reached = NodeSet(count: nodes.count)
    var cursor = CheckCursor()
    for root in roots {
      try checkNodes(
        of: root, coverage: coverages[root.volume], cursor: &cursor, reached: &reached)
    }
    try checkReached(reached)
    try checkUnreadable()
    try checkIdentities()
    guard cursor.entry == entries.count, cursor.extent == extents.count,
      cursor.compressedRun == compressedRuns.count,
      cursor.checksum == UInt64(checksumBytes.count),
      cursor.attribute == extendedAttributes.count
    else { throw .damaged(place: "section nodes", problem: "there are records that no node has") }
  }

  /// Every section has its checksum, and what lies between sections is zero.
  private func checkSections() throws(RepresentationError) {
    let bytes = bytes
    var end = HeaderRecord.size + sections.records.count * SectionRecord.size
    for record in sections.records {
      // Opening found the section inside the bytes.
      let start = Int(record.offset)
      let name = Section(rawValue: record.kind).map { "\($0)" } ?? "\(record.kind)"
      guard start >= end, start - end < Int(Format.alignment),
        bytes[end..<start].allSatisfy({ $0 == 0 })
      else { throw .damaged(place: "section \(name)", problem: "other bytes lie before it") }
      end = start + Int(record.length)
      guard CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) == record.checksum
      else { throw .damaged(place: "section \(name)", problem: "its checksum is wrong") }
    }
    guard end == bytes.count else {
      throw .damaged(place: "the last section", problem: "other bytes follow it")
    }
  }

  /// What nodes are shown as can be shown.
  private func checkIdentities() throws(RepresentationError) {
    for index in 0..<identities.count {
      if let problem = try identities.record(at: index).identity.problem {
        throw .damaged(place: "node \(index)", problem: problem)
      }
    }
  }

  /// Every directory but the top ones has an entry. With depths that grow by one from
  /// parent to child, it is then reached from the top.
  private func checkReached(_ reached: NodeSet) throws(RepresentationError) {
    for root in roots {
      for index in root.nodes.lowerBound..<root.placeholders.upperBound
      where index != root.node.rawValue && !reached.contains(index) {
        let mode = try nodes.record(at: index).attributes.mode
        if FileType(mode: mode) == .directory {
          throw .damaged(place: "node \(index)", problem: "no entry leads to this directory")
        }
      }
    }
  }
}

/// Where the records that the next node owns must begin, in each section.
struct CheckCursor {
  var entry: UInt64 = 0
  var extent: UInt64 = 0
  var compressedRun: UInt64 = 0
  var attribute: UInt64 = 0
  /// Bytes.
  var checksum: UInt64 = 0
}

/// One bit for each node.
struct NodeSet {
  private var words: [UInt64]

  init(count: UInt64) {
    // The nodes' records lie in memory, so an eighth of their count fits an Int.
    words = Array(repeating: 0, count: Int(count / 64) + 1)
  }

  func contains(_ index: UInt64) -> Bool {
    words[Int(index / 64)] >> (index % 64) & 1 == 1
  }

  /// Whether the node was not in the set before.
  mutating func insert(_ index: UInt64) -> Bool {
    let bit: UInt64 = 1 << (index % 64)
    defer { words[Int(index / 64)] |= bit }
    return words[Int(index / 64)] & bit == 0
  }
}
