import FrozenImage

/// Puts a representation together from what the writer left in the scratch space.
///
/// Lengths are known before anything is written, so every section goes straight to
/// its place. The header goes last: a representation that was not completed does not
/// begin as one.
struct RepresentationAssembly {
  private let image: ImageDescription
  private let volumes: [VolumeDescription]
  private let scratch: any RepresentationScratch
  private let counts: WrittenCounts
  private var tree: TreeLinks
  private var unreadable: PendingUnreadable

  init(
    image: ImageDescription, volumes: [VolumeDescription], scratch: any RepresentationScratch,
    counts: WrittenCounts, tree: TreeLinks, unreadable: PendingUnreadable
  ) {
    self.image = image
    self.volumes = volumes
    self.scratch = scratch
    self.counts = counts
    self.tree = tree
    self.unreadable = unreadable
  }

  mutating func write(_ roots: [WrittenRoot]) throws {
    var descriptions = DescriptionEncoder(heapLength: counts.heap)
    descriptions.add(image)
    for volume in volumes { descriptions.add(volume) }
    for (index, root) in roots.enumerated() {
      let next = index + 1 < roots.count ? tree.position(of: roots[index + 1].first) : tree.count
      try add(root, nodes: tree.position(of: root.first)..<next, to: &descriptions)
    }

    var table = layOut(descriptions)
    // Entries before nodes: they give the nodes their parents.
    var checksums: [Section: UInt32] = [:]
    checksums[.entries] = try writeEntries(at: table[.entries].offset)
    checksums[.nodes] = try writeNodes(at: table[.nodes].offset)
    for (section, from) in [
      (Section.extents, ScratchSection.extents), (.compressedRuns, .compressedRuns),
      (.checksums, .checksums),
      (.extendedAttributes, .extendedAttributes),
    ] {
      checksums[section] = try copy(from, to: table[section])
    }
    if counts.identities > 0 {
      checksums[.identities] = try copy(.identities, to: table[.identities])
    }
    checksums[.heap] = try copy(.heap, to: table[.heap], followedBy: descriptions.texts)
    if !unreadable.isEmpty {
      checksums[.unreadable] = try write(unreadable.encoded, at: table[.unreadable].offset)
    }
    for (section, bytes) in descriptions.sections {
      checksums[section] = try write(bytes, at: table[section].offset)
    }
    for section in table.sections { table[section].checksum = checksums[section] ?? 0 }
    try writeHeader(table, incompatible: descriptions.incompatible)
    try scratch.commit()
  }

  private mutating func add(
    _ root: WrittenRoot, nodes: Range<Int>, to descriptions: inout DescriptionEncoder
  ) throws {
    guard let top = tree.node(withInode: root.top), nodes.contains(top), tree.isDirectory(top)
    else {
      throw RepresentationWriterError("inode \(root.top)", "the top directory is not there")
    }
    if let reason = unreadable.reason(ofNode: UInt64(top)) {
      throw RepresentationWriterError("the top directory, inode \(root.top)", reason)
    }
    tree.setTop(top)
    descriptions.addRoot(
      name: root.name, view: root.view, node: UInt64(top), nodes: UInt64(nodes.count),
      placeholders: counts.placeholders)
  }

  /// Where each section goes.
  private func layOut(_ descriptions: DescriptionEncoder) -> SectionLayout {
    SectionLayout { section in
      switch section {
      case .nodes: counts.nodes + counts.placeholders
      case .entries: counts.entries
      case .extents: counts.extents
      case .compressedRuns: counts.compressedRuns
      case .checksums: counts.checksums
      case .extendedAttributes: counts.extendedAttributes
      case .heap: counts.heap + UInt64(descriptions.texts.count)
      case .unreadable: unreadable.count
      case .identities: counts.identities
      case .image, .volumes, .roots, .stores, .storeExtents, .stripeTargets, .media, .windows,
        .fragments, .marks, .trails, .placements:
        UInt64((descriptions.sections[section] ?? []).count / section.recordSize)
      }
    }
  }

  private func input(_ section: ScratchSection, _ count: UInt64, _ size: Int) -> ScratchInput {
    ScratchInput(scratch, section, bytes: count * UInt64(size))
  }

  /// Writes the entries with indices of nodes in place of inode numbers, and learns
  /// the directories' parents from them.
  private mutating func writeEntries(at offset: UInt64) throws -> UInt32 {
    var nodes = input(.nodes, counts.nodes, NodeRecord.size)
    var entries = input(.entries, counts.entries, EntryRecord.size)
    var output = SectionOutput(scratch, at: offset)
    let scratch = scratch
    var written: UInt64 = 0
    for directory in 0..<counts.nodes {
      let node = try nodes.next(NodeRecord.self)
      guard node.attributes.type == .directory else { continue }
      for _ in 0..<node.count {
        var entry = try entries.next(EntryRecord.self)
        if entry.placeholder == 1 {
          entry.node += counts.nodes
          entry.placeholder = 0
        } else {
          let found = try tree.link(
            inode: entry.node, in: directory, name: Self.name(of: entry, in: scratch))
          entry.node = found.node
          entry.type = found.type.rawValue
          unreadable.note(entry: written, of: directory, leadingTo: found.node)
        }
        try output.append(entry)
        written += 1
      }
    }
    try output.flush()
    return output.checksum
  }

  /// An entry's name for a message.
  private static func name(
    of entry: EntryRecord, in scratch: any RepresentationScratch
  ) -> String {
    var bytes = [UInt8](repeating: 0, count: Int(entry.nameLength))
    do {
      try bytes.withUnsafeMutableBytes { buffer in
        try scratch.read(.heap, at: entry.nameOffset, into: buffer)
      }
    } catch {
      return "(\(error))"
    }
    return bytes.withUnsafeBytes { $0.quoted }
  }

  /// Writes the nodes with their parents and depths, then the placeholders.
  private func writeNodes(at offset: UInt64) throws -> UInt32 {
    let depths = try tree.depths()
    var nodes = input(.nodes, counts.nodes, NodeRecord.size)
    var output = SectionOutput(scratch, at: offset)
    for (index, depth) in depths.enumerated() {
      var node = try nodes.next(NodeRecord.self)
      node.parent = tree.parent(of: index)
      node.depth = depth
      try output.append(node)
    }
    var placeholders = input(.placeholders, counts.placeholders, NodeRecord.size)
    for _ in 0..<counts.placeholders {
      var node = try placeholders.next(NodeRecord.self)
      // The parent was its directory's index from the start.
      node.depth = depths[Int(node.parent)] + 1
      node.first = counts.entries
      node.firstAttribute = counts.extendedAttributes
      try output.append(node)
    }
    try output.flush()
    return output.checksum
  }

  private func copy(
    _ from: ScratchSection, to section: SectionRecord, followedBy rest: [UInt8] = []
  ) throws -> UInt32 {
    var input = ScratchInput(scratch, from, bytes: section.length - UInt64(rest.count))
    var output = SectionOutput(scratch, at: section.offset)
    try input.copy(to: &output)
    try rest.withUnsafeBytes { try output.write($0) }
    return output.checksum
  }

  private func write(_ bytes: [UInt8], at offset: UInt64) throws -> UInt32 {
    try bytes.withUnsafeBytes { bytes in
      try scratch.write(bytes, at: offset)
      return CRC32C.checksum(bytes)
    }
  }

  private func writeHeader(_ layout: SectionLayout, incompatible: UInt64) throws {
    let table = layout.records.flatMap(\.encoded)
    _ = try write(table, at: UInt64(HeaderRecord.size))
    var header = HeaderRecord(
      fileLength: layout.end, sectionCount: UInt32(layout.records.count),
      tableChecksum: CRC32C.checksum(table))
    header.incompatible = incompatible
    if !unreadable.isEmpty { header.incompatible |= Format.unreadableParts }
    _ = try write(header.encoded, at: 0)
  }
}

/// The section table while it is made.
struct SectionLayout {
  private(set) var records: [SectionRecord] = []
  /// Those that there are, in order.
  let sections: [Section]
  /// Bytes of the whole representation.
  private(set) var end: UInt64

  /// - Parameter count: how many records a section has.
  init(count: (Section) -> UInt64) {
    sections = Section.allCases.filter { !$0.isOptional || count($0) > 0 }
    end = UInt64(HeaderRecord.size + sections.count * SectionRecord.size)
    for section in sections {
      let count = count(section)
      let size = UInt64(section.recordSize)
      // The scratch space holds as much already: no 64 bits overflow.
      let offset = (end + Format.alignment - 1) / Format.alignment * Format.alignment
      records.append(
        SectionRecord(
          kind: section.rawValue, recordSize: section.recordSize32, offset: offset,
          length: count * size, count: count, checksum: 0))
      end = offset + count * size
    }
  }

  /// The record of a section.
  subscript(section: Section) -> SectionRecord {
    get { records[position(of: section)] }
    set { records[position(of: section)] = newValue }
  }

  /// Where the section stands among those that there are.
  private func position(of section: Section) -> Int {
    sections.count { $0.rawValue < section.rawValue }
  }
}

extension Section {
  fileprivate var recordSize32: UInt32 { UInt32(recordSize) }
}
