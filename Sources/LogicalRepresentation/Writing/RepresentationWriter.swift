public import FrozenImage

/// Writes a representation, node by node.
///
/// What a node has goes to the scratch space as it comes, so memory holds some 20
/// bytes for each node and the names of one directory. Inode numbers of entries
/// become indices of records in the end, when all nodes are known.
///
/// A name, an extended attribute or a link's target that no representation can hold does
/// not cost the rest: that part of its node is marked as unreadable (see
/// `markUnreadable`). After an error the writer is of no more use. What it writes passes
/// `Representation.check()`.
public struct RepresentationWriter: ~Copyable {
  private let image: ImageDescription
  var volumes: [VolumeDescription]
  var coverage: MapCoverage
  let scratch: any RepresentationScratch

  var counts = WrittenCounts()
  private(set) var inodes: [UInt64] = []
  private var types: [FileType] = []
  private var open: NodeRecord?
  /// Of the open node.
  private var identity: NodeIdentity?
  private let showsIdentities: Bool
  /// One past the last file byte that an extent of the open node covers.
  var extentEnd: UInt64 = 0
  private var hasTarget = false
  /// Parts that cannot be read, of all nodes so far.
  var unreadable = PendingUnreadable()
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
  /// - Parameter showsIdentities: whether nodes are shown as others, of which they are copies.
  /// - Throws: `RepresentationWriterError` when the description breaks a rule.
  public init(
    image: ImageDescription, volumes: [VolumeDescription], scratch: any RepresentationScratch,
    showsIdentities: Bool = false
  ) throws {
    guard image.created.nanoseconds < 1_000_000_000 else {
      throw RepresentationWriterError("image", "its time is malformed")
    }
    let coverage = try Self.coverage(of: volumes)
    self.image = image
    self.volumes = volumes
    self.coverage = coverage
    self.scratch = scratch
    self.showsIdentities = showsIdentities
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
  /// - Parameter identity: what it is shown as; `nil` when that is not known, and so is one that
  ///   nobody could show. The caller sees to it that no two nodes are shown with one number.
  /// - Throws: `RepresentationWriterError` when the attributes break a rule or the
  ///   node before was not ended.
  public mutating func beginNode(
    _ attributes: NodeAttributes, shownAs identity: NodeIdentity? = nil
  ) throws {
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
    self.identity = identity?.problem == nil ? identity : nil
    extentEnd = 0
    hasTarget = false
  }

  /// The node that is open.
  func current() throws -> NodeRecord {
    guard let open else { throw RepresentationWriterError("a node", "it was not begun") }
    return open
  }

  func refusal(_ problem: String) -> RepresentationWriterError {
    RepresentationWriterError("inode \(open?.attributes.inode ?? 0)", problem)
  }

  /// Adds an extended attribute to the open node, in any order. One whose name or value
  /// is too long, or whose name is there already, is left out and marked as unreadable.
  ///
  /// - Throws: `RepresentationWriterError` when no node is open.
  public mutating func addExtendedAttribute(
    name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
  ) throws {
    _ = try current()
    if !(1...NameBytes.maximumLength).contains(name.count) || name.contains(0) {
      try markUnreadable(
        .extendedAttributes, reason: "the name \(name.quoted) of one of them is malformed")
    } else if value.count > ExtendedAttributeRecord.maximumValueLength {
      try markUnreadable(.extendedAttributes, reason: "\(name.quoted) has \(value.count) bytes")
    } else {
      attributes.add(name, Array(value))
    }
  }

  /// Adds a child to the open directory, in any order. A node that is no directory
  /// may be the child of several (hard links). A child whose name is none, or is there
  /// already, is left out, and the directory marked as unreadable.
  ///
  /// - Parameter type: what the directory says; that of the child's node is what counts.
  /// - Throws: `RepresentationWriterError` when no directory is open.
  public mutating func addEntry(
    name: UnsafeRawBufferPointer, inode: UInt64, type: FileType
  ) throws {
    try add(name, PendingEntry(node: inode, type: type, isPlaceholder: false))
  }

  private mutating func add(_ name: UnsafeRawBufferPointer, _ entry: PendingEntry) throws {
    guard try accepts(name) else { return }
    entries.add(name, entry)
  }

  /// Whether the open directory can have an entry of a name; if not, that is noted.
  private mutating func accepts(_ name: UnsafeRawBufferPointer) throws -> Bool {
    guard try current().attributes.type == .directory else {
      throw refusal("it has an entry \(name.quoted) and is not a directory")
    }
    guard let problem = NameBytes(bytes: name).entryProblem else { return true }
    try markUnreadable(.content, reason: "an entry \(name.quoted): \(problem)")
    return false
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
    guard try accepts(name) else { return }
    try add(
      name, PendingEntry(node: counts.placeholders, type: .directory, isPlaceholder: true))
    var record = NodeRecord(attributes: attributes)
    record.parent = UInt64(inodes.count)
    try append(record, to: .placeholders, counting: \.placeholders)
  }

  /// Sets the target of the open symbolic link, 1 through 4095 bytes without NUL. Of a
  /// link with another target, or none, the target is marked as unreadable.
  ///
  /// - Throws: `RepresentationWriterError` when no symbolic link is open, or it has a target.
  public mutating func setSymbolicLinkTarget(_ target: UnsafeRawBufferPointer) throws {
    guard try current().attributes.type == .symbolicLink, !hasTarget else {
      throw refusal("it has a target and is not a symbolic link, or has two")
    }
    guard !target.isEmpty, target.count <= RepresentationLimits.linkTarget, !target.contains(0)
    else {
      try markUnreadable(.content, reason: "its target is empty, too long, or has a NUL in it")
      return
    }
    open?.first = counts.heap
    open?.count = UInt64(target.count)
    hasTarget = true
    try appendToHeap(target)
  }

  /// Completes the open node.
  ///
  /// - Throws: `RepresentationWriterError` when no node is open.
  public mutating func endNode() throws {
    var record = try current()
    try appendExtendedAttributes(of: &record)
    switch record.attributes.type {
    case .directory: record.count = UInt64(try appendEntries())
    case .regular: record.count = counts.extents - record.first
    case .symbolicLink:
      if !hasTarget { try markUnreadable(.content, reason: "it has no target") }
    case .fifo, .socket, .characterDevice, .blockDevice: break
    }
    inodes.append(record.attributes.inode)
    types.append(record.attributes.type)
    open = nil
    try append(record, to: .nodes, counting: \.nodes)
    guard showsIdentities else { return }
    let identity = identity ?? NodeIdentity(unknownOriginalOf: record.attributes)
    try append(IdentityRecord(identity), to: .identities, counting: \.identities)
  }

  private mutating func appendExtendedAttributes(of record: inout NodeRecord) throws {
    guard !attributes.isEmpty else { return }
    guard attributes.count <= UInt32.max else {
      throw refusal("it has \(attributes.count) extended attributes")
    }
    var pending = attributes
    attributes = PendingNames()
    let count = try pending.drain(duplicate: { name in
      try markUnreadable(.extendedAttributes, reason: "there are two of the name \(name.quoted)")
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
    record.attributeCount = UInt32(count)
    attributes = pending
  }

  /// - Returns: how many entries the directory has.
  private mutating func appendEntries() throws -> Int {
    guard !entries.isEmpty else { return 0 }
    var pending = entries
    entries = PendingNames()
    let count = try pending.drain(duplicate: { name in
      try markUnreadable(.content, reason: "it has two entries \(name.quoted)")
    }) { name, entry in
      // The name's length was checked when the entry was added.
      let record = EntryRecord(
        node: entry.node, nameOffset: counts.heap, nameLength: UInt16(name.count),
        type: entry.type.rawValue, placeholder: entry.isPlaceholder ? 1 : 0)
      try appendToHeap(name)
      try append(record, to: .entries, counting: \.entries)
    }
    entries = pending
    return count
  }

  mutating func appendToHeap(_ bytes: UnsafeRawBufferPointer) throws {
    try scratch.append(bytes, to: .heap)
    counts.heap += UInt64(bytes.count)
  }

  mutating func append(
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
      tree: TreeLinks(inodes: inodes, types: types), unreadable: unreadable)
    try assembly.write(roots)
  }
}
