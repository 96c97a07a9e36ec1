/// Writes a representation, node by node.
///
/// What a node has goes to the scratch space as it comes, so memory holds some 20
/// bytes for each node and the names of one directory. Inode numbers of entries
/// become indices of records in the end, when all nodes are known.
///
/// After an error the writer is of no more use. What it writes passes
/// `Representation.check()`.
public struct RepresentationWriter: ~Copyable {
  private let image: ImageDescription
  private var volumes: [VolumeDescription]
  private var coverage: MapCoverage
  private let scratch: any RepresentationScratch

  private var counts = WrittenCounts()
  private var inodes: [UInt64] = []
  private var types: [FileType] = []
  private var open: NodeRecord?
  /// One past the last file byte that an extent of the open node covers.
  private var extentEnd: UInt64 = 0
  private var hasTarget = false
  private var entries = PendingNames<PendingEntry>()
  private var attributes = PendingNames<[UInt8]>()
  private var fields = FieldWriter(capacity: NodeRecord.size)

  private struct PendingEntry {
    /// An inode number, or the count of placeholders before this one.
    let node: UInt64
    let type: FileType
    let isPlaceholder: Bool
  }

  /// Begins a representation whose data lies in the first volume.
  ///
  /// - Throws: `RepresentationWriterError` when the description breaks a rule.
  public init(
    image: ImageDescription, volumes: [VolumeDescription], scratch: any RepresentationScratch
  ) throws {
    guard image.created.nanoseconds < 1_000_000_000 else {
      throw RepresentationWriterError("image", "its time is malformed")
    }
    let coverage = try Self.coverage(of: volumes)
    self.image = image
    self.volumes = volumes
    self.coverage = coverage
    self.scratch = scratch
  }

  private static func coverage(of volumes: [VolumeDescription]) throws -> MapCoverage {
    guard let volume = volumes.first else {
      throw RepresentationWriterError("image", "it has no volume")
    }
    for volume in volumes {
      if let problem = volume.problem(MapCoverage(volume.map, media: volume.media)) {
        throw RepresentationWriterError("volume \(volume.id)", problem)
      }
    }
    return MapCoverage(volume.map, media: volume.media)
  }

  /// Replaces the descriptions of the volumes, which may have grown while the tree was
  /// walked.
  ///
  /// - Throws: `RepresentationWriterError` when a description breaks a rule, or when
  ///   something is no longer mapped: an extent that was added already may lie there.
  public mutating func replaceVolumes(_ volumes: [VolumeDescription]) throws {
    let wider = try Self.coverage(of: volumes)
    guard wider.covers(coverage) else {
      throw RepresentationWriterError(
        "image", "a part of its volume is no longer mapped")
    }
    coverage = wider
    self.volumes = volumes
  }

  /// Begins a node; nodes come in ascending order of inode number.
  ///
  /// - Throws: `RepresentationWriterError` when the attributes break a rule or the
  ///   node before was not ended.
  public mutating func beginNode(_ attributes: NodeAttributes) throws {
    let place = "inode \(attributes.inode)"
    guard open == nil else { throw RepresentationWriterError(place, "the node before is open") }
    if let last = inodes.last, attributes.inode <= last {
      throw RepresentationWriterError(place, "it comes after inode \(last)")
    }
    if let problem = attributes.problem { throw RepresentationWriterError(place, problem) }
    var record = NodeRecord(attributes: attributes)
    record.firstAttribute = counts.extendedAttributes
    switch attributes.type {
    case .directory: record.first = counts.entries
    case .regular: record.first = counts.extents
    default: break
    }
    open = record
    extentEnd = 0
    hasTarget = false
  }

  /// The node that is open.
  private func current() throws -> NodeRecord {
    guard let open else { throw RepresentationWriterError("a node", "it was not begun") }
    return open
  }

  private func refusal(_ problem: String) -> RepresentationWriterError {
    RepresentationWriterError("inode \(open?.attributes.inode ?? 0)", problem)
  }

  /// Adds an extended attribute to the open node, in any order.
  ///
  /// - Throws: `RepresentationWriterError` when name or value are too long.
  public mutating func addExtendedAttribute(
    name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
  ) throws {
    _ = try current()
    guard (1...NameBytes.maximumLength).contains(name.count), !name.contains(0) else {
      throw refusal("the name \(name.quoted) of an extended attribute is malformed")
    }
    guard value.count <= ExtendedAttributeRecord.maximumValueLength else {
      throw refusal("its extended attribute \(name.quoted) has \(value.count) bytes")
    }
    attributes.add(name, Array(value))
  }

  /// Adds a child to the open directory, in any order. A node that is no directory
  /// may be the child of several (hard links).
  ///
  /// - Throws: `RepresentationWriterError` when the name is not one.
  public mutating func addEntry(
    name: UnsafeRawBufferPointer, inode: UInt64, type: FileType
  ) throws {
    try add(name, PendingEntry(node: inode, type: type, isPlaceholder: false))
  }

  private mutating func add(_ name: UnsafeRawBufferPointer, _ entry: PendingEntry) throws {
    guard try current().attributes.type == .directory else {
      throw refusal("it has an entry \(name.quoted) and is not a directory")
    }
    if let problem = NameBytes(bytes: name).entryProblem {
      throw refusal("an entry \(name.quoted): \(problem)")
    }
    entries.add(name, entry)
  }

  /// Adds an empty directory to the open directory: what stands where another tree is
  /// nested. It is a node of its own, whose inode number others may have as well.
  ///
  /// - Throws: `RepresentationWriterError` when name or attributes break a rule.
  public mutating func addEmptyDirectory(
    name: UnsafeRawBufferPointer, attributes: NodeAttributes
  ) throws {
    if let problem = attributes.problem { throw refusal("nested \(name.quoted): \(problem)") }
    guard attributes.type == .directory else {
      throw refusal("nested \(name.quoted): it is not a directory")
    }
    try add(
      name, PendingEntry(node: counts.placeholders, type: .directory, isPlaceholder: true))
    var record = NodeRecord(attributes: attributes)
    record.parent = UInt64(inodes.count)
    try append(record, to: .placeholders, counting: \.placeholders)
  }

  /// Sets the target of the open symbolic link, 1 through 4095 bytes without NUL.
  ///
  /// - Throws: `RepresentationWriterError` when the target breaks a rule.
  public mutating func setSymbolicLinkTarget(_ target: UnsafeRawBufferPointer) throws {
    guard try current().attributes.type == .symbolicLink, !hasTarget else {
      throw refusal("it has a target and is not a symbolic link, or has two")
    }
    guard !target.isEmpty, target.count <= RepresentationLimits.linkTarget, !target.contains(0)
    else { throw refusal("its target is empty, too long, or has a NUL in it") }
    open?.first = counts.heap
    open?.count = UInt64(target.count)
    hasTarget = true
    try appendToHeap(target)
  }

  /// Adds an extent to the open regular file, in ascending order of offset; bytes that
  /// travel inside the representation go to `addInline`.
  ///
  /// - Parameter checksums: `width` bytes for each block of the extent, or of the stored
  ///   bytes of its compressed run, which is then made of whole blocks; `nil` when it
  ///   has none.
  /// - Throws: `RepresentationWriterError` when the extent breaks a rule or is not
  ///   mapped.
  public mutating func addExtent(
    _ extent: FileExtent, checksums: UnsafeRawBufferPointer?
  ) throws {
    try claim(offset: extent.offset, length: extent.length)
    switch extent.source {
    case .stored(let address):
      guard coverage.covers(address, length: extent.length) else {
        throw refusal(
          "store \(address.store.rawValue) does not map the \(extent.length) bytes at "
            + "\(address.offset)")
      }
    case .inline: throw refusal("an inline extent came without its bytes")
    case .compressed(let run):
      guard run.holds(extent.length) else {
        throw refusal(
          "the compressed run of the extent at \(extent.offset) decodes to too few bytes")
      }
      guard coverage.covers(run.address, length: UInt64(run.storedLength)) else {
        throw refusal(
          "store \(run.address.store.rawValue) does not map the \(run.storedLength) compressed "
            + "bytes at \(run.address.offset)")
      }
    case .unwritten, .encoded: break
    }
    var start = Format.none
    if let checksums {
      try checkChecksums(checksums, of: extent)
      start = counts.checksums
      try scratch.append(checksums, to: .checksums)
      counts.checksums += UInt64(checksums.count)
    }
    let run = counts.compressedRuns
    if case .compressed(let run) = extent.source {
      try append(
        CompressedRunRecord(run), to: .compressedRuns, counting: \.compressedRuns)
    }
    try append(
      ExtentRecord(extent, run: run, checksums: start), to: .extents, counting: \.extents)
  }

  private func checkChecksums(
    _ checksums: UnsafeRawBufferPointer, of extent: FileExtent
  ) throws {
    guard let volume = volumes.first, let algorithm = volume.checksum else {
      throw refusal("it has checksums and its volume has none")
    }
    let block = UInt64(volume.checksumBlockSize)
    guard let blocks = extent.checksummedBlocks(of: block),
      UInt64(checksums.count) == blocks * UInt64(algorithm.width)
    else {
      throw refusal(
        "the extent at \(extent.offset) has \(extent.length) bytes and \(checksums.count) bytes "
          + "of checksums")
    }
  }

  /// Adds bytes of the open regular file that travel inside the representation, in
  /// ascending order of offset with its extents.
  ///
  /// - Parameters:
  ///   - length: bytes of the file that the extent stands for.
  ///   - bytes: at most `length`; what is missing reads as zeros.
  /// - Throws: `RepresentationWriterError` when the extent breaks a rule.
  public mutating func addInline(
    offset: UInt64, length: UInt64, bytes: UnsafeRawBufferPointer
  ) throws {
    try claim(offset: offset, length: length)
    guard UInt64(bytes.count) <= length else {
      throw refusal("\(bytes.count) inline bytes stand for \(length)")
    }
    // What is left over is a hole, which reads as zeros.
    guard !bytes.isEmpty else { return }
    let extent = FileExtent(
      offset: offset, length: UInt64(bytes.count), source: .inline(heapOffset: counts.heap))
    try appendToHeap(bytes)
    try append(ExtentRecord(extent, checksums: Format.none), to: .extents, counting: \.extents)
  }

  /// Takes a run of the open file's bytes for an extent.
  private mutating func claim(offset: UInt64, length: UInt64) throws {
    guard try current().attributes.type == .regular else {
      throw refusal("it has an extent and is not a regular file")
    }
    let (end, overflow) = offset.addingReportingOverflow(length)
    guard length > 0, !overflow, end <= UInt64(Int64.max) else {
      throw refusal("the extent at \(offset) has \(length) bytes")
    }
    guard offset >= extentEnd else {
      throw refusal("the extent at \(offset) overlaps the one before, which ends at \(extentEnd)")
    }
    extentEnd = end
  }

  /// Completes the open node.
  ///
  /// - Throws: `RepresentationWriterError` for two entries or two extended attributes
  ///   of one name, and for a symbolic link without a target.
  public mutating func endNode() throws {
    var record = try current()
    try appendExtendedAttributes(of: &record)
    switch record.attributes.type {
    case .directory:
      record.count = UInt64(entries.count)
      try appendEntries()
    case .regular: record.count = counts.extents - record.first
    case .symbolicLink:
      guard hasTarget else { throw refusal("it is a symbolic link without a target") }
    case .fifo, .socket, .characterDevice, .blockDevice: break
    }
    inodes.append(record.attributes.inode)
    types.append(record.attributes.type)
    open = nil
    try append(record, to: .nodes, counting: \.nodes)
  }

  private mutating func appendExtendedAttributes(of record: inout NodeRecord) throws {
    guard !attributes.isEmpty else { return }
    guard let count = UInt32(exactly: attributes.count) else {
      throw refusal("it has \(attributes.count) extended attributes")
    }
    record.attributeCount = count
    var pending = attributes
    attributes = PendingNames()
    let inode = record.attributes.inode
    try pending.drain(duplicate: { name in
      RepresentationWriterError("inode \(inode)", "it has two extended attributes \(name.quoted)")
    }) { name, value in
      let nameOffset = counts.heap
      try appendToHeap(name)
      let valueOffset = counts.heap
      try value.withUnsafeBytes { try appendToHeap($0) }
      // Both lengths were checked when the attribute was added.
      let record = ExtendedAttributeRecord(
        nameOffset: nameOffset, nameLength: UInt16(name.count), valueOffset: valueOffset,
        valueLength: UInt32(value.count))
      try append(record, to: .extendedAttributes, counting: \.extendedAttributes)
    }
    attributes = pending
  }

  private mutating func appendEntries() throws {
    guard !entries.isEmpty else { return }
    var pending = entries
    entries = PendingNames()
    let inode = open?.attributes.inode ?? 0
    try pending.drain(duplicate: { name in
      RepresentationWriterError("inode \(inode)", "it has two entries \(name.quoted)")
    }) { name, entry in
      // The name's length was checked when the entry was added.
      let record = EntryRecord(
        node: entry.node, nameOffset: counts.heap, nameLength: UInt16(name.count),
        type: entry.type.rawValue, placeholder: entry.isPlaceholder ? 1 : 0)
      try appendToHeap(name)
      try append(record, to: .entries, counting: \.entries)
    }
    entries = pending
  }

  private mutating func appendToHeap(_ bytes: UnsafeRawBufferPointer) throws {
    try scratch.append(bytes, to: .heap)
    counts.heap += UInt64(bytes.count)
  }

  private mutating func append(
    _ record: some Record, to section: ScratchSection,
    counting count: WritableKeyPath<WrittenCounts, UInt64>
  ) throws {
    fields.removeAll()
    record.write(to: &fields)
    try fields.bytes.withUnsafeBytes { try scratch.append($0, to: section) }
    counts[keyPath: count] += 1
  }

  /// Writes the representation and commits the scratch space.
  ///
  /// - Parameters:
  ///   - rootInode: the inode number of the tree's top directory.
  ///   - rootName: a label for people.
  /// - Throws: as `finish(_:)`.
  public consuming func finish(rootInode: UInt64, rootName: String) throws {
    try finish([WrittenRoot(name: rootName, view: .tree, top: rootInode, first: 0)])
  }

  /// Writes the representation and commits the scratch space.
  ///
  /// - Parameter roots: the trees, in ascending order of their nodes' inode numbers;
  ///   with empty directories that stand for nested trees there is one only.
  /// - Throws: `RepresentationWriterError` for entries that lead nowhere and
  ///   directories that do not form a tree; `ScratchError`.
  public consuming func finish(_ roots: [WrittenRoot]) throws {
    guard open == nil else { throw refusal("it was not ended") }
    guard roots.count == 1 || counts.placeholders == 0 else {
      throw RepresentationWriterError("image", "nested trees stand between its roots")
    }
    var assembly = RepresentationAssembly(
      image: image, volumes: volumes, scratch: scratch, counts: counts,
      tree: TreeLinks(inodes: inodes, types: types))
    try assembly.write(roots)
  }
}

/// A tree of an image that is written.
public struct WrittenRoot: Hashable, Sendable {
  /// A label for people.
  public let name: String
  public let view: Root.View
  /// The inode number of the top directory.
  public let top: UInt64
  /// The tree's nodes are those with this inode number or a greater one, up to the
  /// next tree's.
  public let first: UInt64

  public init(name: String, view: Root.View, top: UInt64, first: UInt64) {
    self.name = name
    self.view = view
    self.top = top
    self.first = first
  }
}

/// How much of each section the scratch space holds.
struct WrittenCounts {
  var nodes: UInt64 = 0
  var placeholders: UInt64 = 0
  var entries: UInt64 = 0
  var extents: UInt64 = 0
  var compressedRuns: UInt64 = 0
  var extendedAttributes: UInt64 = 0
  /// Bytes.
  var checksums: UInt64 = 0
  /// Bytes.
  var heap: UInt64 = 0
}
