public import FrozenImage

/// The logical representation of an image: read where it lies, never parsed into
/// objects.
///
/// Opening reads the header, the section table and the few records that describe
/// the image, its volumes and its roots; it takes the same time for ten files and
/// for ten million. Every access is bounds-checked, whether or not `check()` ran:
/// damaged bytes give an error or a wrong tree, never a read out of range, a trap
/// or a loop without end. `check()` proves that the tree is not wrong either.
public final class Representation: Sendable {
  /// Keeps the bytes alive that the tables point into.
  private let region: any ByteRegion
  let sections: SectionTable

  /// The first bytes of every representation.
  public static var magic: [UInt8] { Format.magic }

  /// What the image is and where it comes from.
  public let image: ImageDescription
  /// The volumes that hold the trees' data; a root names its own by the index.
  public let volumes: [VolumeDescription]
  /// At least one; their nodes follow each other.
  public let roots: [Root]

  let nodes: RecordTable<NodeRecord>
  let entries: RecordTable<EntryRecord>
  let extents: RecordTable<ExtentRecord>
  let compressedRuns: RecordTable<CompressedRunRecord>
  let extendedAttributes: RecordTable<ExtendedAttributeRecord>
  let unreadable: RecordTable<UnreadableRecord>
  let identities: RecordTable<IdentityRecord>
  nonisolated(unsafe) let checksumBytes: UnsafeRawBufferPointer
  nonisolated(unsafe) let heap: UnsafeRawBufferPointer

  /// - Throws: `RepresentationError` when the header, the section table or the
  ///   description of image, volumes and roots cannot be read.
  public init(_ region: any ByteRegion) throws(RepresentationError) {
    let bytes = region.bytes
    let sections = try SectionTable(bytes)
    self.region = region
    self.sections = sections
    heap = sections.bytes(of: .heap, in: bytes)
    checksumBytes = sections.bytes(of: .checksums, in: bytes)
    nodes = try Self.table(.nodes, sections, bytes)
    entries = try Self.table(.entries, sections, bytes)
    extents = try Self.table(.extents, sections, bytes)
    compressedRuns = try Self.table(.compressedRuns, sections, bytes)
    extendedAttributes = try Self.table(.extendedAttributes, sections, bytes)
    unreadable = try Self.table(.unreadable, sections, bytes)
    identities = try Self.table(.identities, sections, bytes)
    guard identities.count == 0 || identities.count == nodes.count else {
      throw .damaged(
        place: "section identities",
        problem: "it has \(identities.count) records for \(nodes.count) nodes")
    }
    var decoder = try DescriptionDecoder(sections: sections, bytes: bytes)
    image = try decoder.image()
    volumes = try decoder.volumes()
    roots = try decoder.roots(volumes: volumes.count, nodes: nodes.count)
  }

  static func table<R: Record>(
    _ section: Section, _ sections: SectionTable, _ bytes: UnsafeRawBufferPointer
  ) throws(RepresentationError) -> RecordTable<R> {
    guard let table = RecordTable<R>(sections.bytes(of: section, in: bytes)) else {
      throw .damaged(place: "section \(section)", problem: "its length is not that of its records")
    }
    return table
  }

  /// All of the bytes.
  var bytes: UnsafeRawBufferPointer { region.bytes }

  /// Nodes of all roots together; indices are below.
  public var nodeCount: UInt64 { nodes.count }

  func record(of node: NodeIndex) throws(RepresentationError) -> NodeRecord {
    guard node.rawValue < nodes.count else { throw .noSuchNode(node) }
    return try nodes.record(at: node.rawValue)
  }

  /// The record of a node that must be of a type.
  func record(
    of node: NodeIndex, as type: FileType
  ) throws(RepresentationError) -> NodeRecord {
    let record = try record(of: node)
    guard FileType(mode: record.attributes.mode) == type else {
      throw .wrongType(node, expected: type)
    }
    try requireReadable(node, .node)
    return record
  }

  /// The attributes that people and tools are shown.
  ///
  /// - Throws: `noSuchNode`; `unreadable` when nothing is known of the node; `damaged` when
  ///   its type is none that is known.
  @inline(__always)
  public func attributes(of node: NodeIndex) throws(RepresentationError) -> NodeAttributes {
    let attributes = try sourceAttributes(of: node)
    guard identities.count > 0 else { return attributes }
    return attributes.shown(as: try identities.record(at: node.rawValue).identity)
  }

  /// The attributes by which the production host knows a node: what a portion of a file and
  /// every question is keyed by. Other than those that are shown where the image's nodes are
  /// copies.
  ///
  /// - Throws: as `attributes(of:)`.
  public func sourceAttributes(of node: NodeIndex) throws(RepresentationError) -> NodeAttributes {
    let attributes = try record(of: node).attributes
    try requireReadable(node, .node)
    guard FileType(mode: attributes.mode) != nil else {
      throw .damaged(place: "node \(node.rawValue)", problem: "its mode names no file type")
    }
    return attributes
  }

  /// Bytes that travel inside the representation, such as an inline extent's; valid
  /// while the representation lives.
  ///
  /// - Throws: `damaged` when the run leaves the heap.
  public func heapBytes(
    at offset: UInt64, count: Int
  ) throws(RepresentationError) -> UnsafeRawBufferPointer {
    guard let start = Int(exactly: offset), start <= heap.count, count >= 0,
      count <= heap.count - start
    else {
      throw .damaged(place: "heap", problem: "\(count) bytes at \(offset) are not inside it")
    }
    return UnsafeRawBufferPointer(rebasing: heap[start..<start + count])
  }

  /// The target of a symbolic link; valid while the representation lives.
  ///
  /// - Throws: `wrongType`, `noSuchNode`, `unreadable`; `damaged` when the target leaves
  ///   the heap.
  public func symbolicLinkTarget(
    of node: NodeIndex
  ) throws(RepresentationError) -> UnsafeRawBufferPointer {
    let record = try record(of: node, as: .symbolicLink)
    try requireReadable(node, .content)
    return try heapBytes(at: record.first, count: Int(clamping: record.count))
  }

  /// An extended attribute; its bytes are valid while the representation lives.
  public struct ExtendedAttribute {
    /// With the namespace ("user.comment").
    public let name: UnsafeRawBufferPointer
    /// May hold any bytes, and may be empty.
    public let value: UnsafeRawBufferPointer
  }

  /// All extended attributes of a node, in ascending order of name.
  ///
  /// - Throws: `noSuchNode`; `unreadable` when not all of them could be read; `damaged`
  ///   when a record or its bytes are out of range.
  public func extendedAttributes(
    of node: NodeIndex
  ) throws(RepresentationError) -> [ExtendedAttribute] {
    let record = try record(of: node)
    try requireReadable(node, .node)
    try requireReadable(node, .extendedAttributes)
    return try extendedAttributes(of: node, record)
  }

  /// The value of an extended attribute; `nil` when the node has none of this name.
  ///
  /// - Throws: as `extendedAttributes(of:)`; but those that could be read are given.
  public func extendedAttribute(
    _ name: UnsafeRawBufferPointer, of node: NodeIndex
  ) throws(RepresentationError) -> UnsafeRawBufferPointer? {
    let record = try record(of: node)
    try requireReadable(node, .node)
    for attribute in try extendedAttributes(of: node, record)
    where NameBytes.order(attribute.name, name) == 0 {
      return attribute.value
    }
    try requireReadable(node, .extendedAttributes)
    return nil
  }

  private func extendedAttributes(
    of node: NodeIndex, _ record: NodeRecord
  ) throws(RepresentationError) -> [ExtendedAttribute] {
    guard record.attributeCount > 0 else { return [] }
    let range = try extendedAttributes.range(
      record.firstAttribute, UInt64(record.attributeCount), of: "node \(node.rawValue)")
    var attributes: [ExtendedAttribute] = []
    for index in range {
      attributes.append(try extendedAttribute(at: index))
    }
    return attributes
  }

  func extendedAttribute(at index: UInt64) throws(RepresentationError) -> ExtendedAttribute {
    let record = try extendedAttributes.record(at: index)
    return ExtendedAttribute(
      name: try heapBytes(at: record.nameOffset, count: Int(record.nameLength)),
      value: try heapBytes(at: record.valueOffset, count: Int(clamping: record.valueLength)))
  }
}
