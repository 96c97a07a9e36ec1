import FrozenImage

/// A node: its attributes, and which records of other sections are its own.
///
/// The nodes of a tree lie in ascending order of inode number, so the runs of
/// entries, extents, checksums and extended attributes lie in the same order and
/// leave no gap: each record has exactly one owner, which the check proves with a
/// cursor for each section.
struct NodeRecord: Record {
  static let size = 152
  static let noun = "node"

  var attributes: NodeAttributes
  /// Directories below the top of the tree: 0 for the top directory. Every other
  /// directory is one deeper than its parent, which rules out cycles. 0 for what is
  /// not a directory.
  var depth: UInt32 = 0
  /// Records in the section of extended attributes.
  var attributeCount: UInt32 = 0
  /// A directory's parent (the top directory is its own); `Format.none` for what is
  /// not a directory.
  var parent: UInt64 = Format.none
  /// A directory's first entry, a regular file's first extent, the heap offset of a
  /// symbolic link's target; 0 for anything else.
  var first: UInt64 = 0
  /// Entries, extents, or bytes of the target.
  var count: UInt64 = 0
  /// In the section of extended attributes.
  var firstAttribute: UInt64 = 0

  init(attributes: NodeAttributes) {
    self.attributes = attributes
  }

  @inline(__always)
  init(_ fields: inout FieldReader) {
    attributes = NodeAttributes(&fields)
    depth = fields.next()
    attributeCount = fields.next()
    parent = fields.next()
    first = fields.next()
    count = fields.next()
    firstAttribute = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    attributes.write(to: &fields)
    fields.put(depth)
    fields.put(attributeCount)
    fields.put(parent)
    fields.put(first)
    fields.put(count)
    fields.put(firstAttribute)
  }
}

extension NodeAttributes {
  /// Stands where nanoseconds would, for a birth time that is not known.
  private static let noTime = UInt32.max

  @inline(__always)
  init(_ fields: inout FieldReader) {
    let inode: UInt64 = fields.next()
    let generation: UInt64 = fields.next()
    let size: UInt64 = fields.next()
    let blocks: UInt64 = fields.next()
    let inodeFlags: UInt64 = fields.next()
    let accessed: Int64 = fields.next()
    let modified: Int64 = fields.next()
    let changed: Int64 = fields.next()
    let created: Int64 = fields.next()
    let accessedFraction: UInt32 = fields.next()
    let modifiedFraction: UInt32 = fields.next()
    let changedFraction: UInt32 = fields.next()
    let createdFraction: UInt32 = fields.next()
    self.init(
      inode: inode, generation: generation, mode: fields.next(), links: fields.next(),
      owner: fields.next(), group: fields.next(), deviceMajor: fields.next(),
      deviceMinor: fields.next(), size: size, blocks: blocks,
      accessed: Timestamp(seconds: accessed, nanoseconds: accessedFraction),
      modified: Timestamp(seconds: modified, nanoseconds: modifiedFraction),
      changed: Timestamp(seconds: changed, nanoseconds: changedFraction),
      created: createdFraction == Self.noTime
        ? nil : Timestamp(seconds: created, nanoseconds: createdFraction),
      inodeFlags: inodeFlags)
  }

  func write(to fields: inout FieldWriter) {
    for value in [inode, generation, size, blocks, inodeFlags] { fields.put(value) }
    for time in [accessed, modified, changed] { fields.put(time.seconds) }
    fields.put(created?.seconds ?? 0)
    for time in [accessed, modified, changed] { fields.put(time.nanoseconds) }
    fields.put(created?.nanoseconds ?? Self.noTime)
    for value in [mode, links, owner, group, deviceMajor, deviceMinor] { fields.put(value) }
  }
}

/// A directory's child.
struct EntryRecord: Record {
  static let size = 24
  static let noun = "entry"

  /// The child's record.
  var node: UInt64
  /// Of the name, in the heap.
  var nameOffset: UInt64
  /// Bytes, 1 through 255.
  var nameLength: UInt16
  /// The child's `FileType`.
  var type: UInt8
  /// Only in the writer's scratch: 1 when `node` counts placeholders, 0 when it is
  /// still the source's inode number. Always 0 in a representation.
  var placeholder: UInt8 = 0

  init(node: UInt64, nameOffset: UInt64, nameLength: UInt16, type: UInt8, placeholder: UInt8) {
    self.node = node
    self.nameOffset = nameOffset
    self.nameLength = nameLength
    self.type = type
    self.placeholder = placeholder
  }

  @inline(__always)
  init(_ fields: inout FieldReader) {
    node = fields.next()
    nameOffset = fields.next()
    nameLength = fields.next()
    type = fields.next()
    placeholder = fields.next()
    fields.skip(4)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(node)
    fields.put(nameOffset)
    fields.put(nameLength)
    fields.put(type)
    fields.put(placeholder)
    fields.put(UInt32(0))
  }
}

/// A run of a regular file's bytes.
struct ExtentRecord: Record {
  static let size = 40
  static let noun = "extent"

  /// The values of `kind`.
  enum Kind: UInt8 {
    case stored = 0
    case unwritten = 1
    case inline = 2
    case encoded = 3
    case compressed = 4
    case unreadable = 5
  }

  /// Bytes from the start of the file.
  var offset: UInt64
  /// Bytes.
  var length: UInt64
  /// Bytes from the start of the store (stored) or of the heap (inline); the index of
  /// its compressed run (compressed); else 0.
  var source: UInt64
  /// Where the checksums of its blocks (compressed: of the stored blocks of its run)
  /// begin, in bytes from the start of the section of checksums; `Format.none` when it
  /// has none.
  var checksums: UInt64
  /// The store (stored); else 0.
  var store: UInt32
  var kind: UInt8

  /// - Parameter run: the index of the extent's compressed run, if it has one.
  init(_ extent: FileExtent, run: UInt64 = 0, checksums: UInt64) {
    offset = extent.offset
    length = extent.length
    self.checksums = checksums
    store = 0
    source = 0
    switch extent.source {
    case .stored(let address):
      kind = Kind.stored.rawValue
      store = address.store.rawValue
      source = address.offset
    case .unwritten: kind = Kind.unwritten.rawValue
    case .inline(let heapOffset):
      kind = Kind.inline.rawValue
      source = heapOffset
    case .compressed:
      kind = Kind.compressed.rawValue
      source = run
    case .encoded: kind = Kind.encoded.rawValue
    case .unreadable: kind = Kind.unreadable.rawValue
    }
  }

  @inline(__always)
  init(_ fields: inout FieldReader) {
    offset = fields.next()
    length = fields.next()
    source = fields.next()
    checksums = fields.next()
    store = fields.next()
    kind = fields.next()
    fields.skip(3)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(length)
    fields.put(source)
    fields.put(checksums)
    fields.put(store)
    fields.put(kind)
    fields.put([0, 0, 0])
  }

  /// The extent; `nil` when it is empty, when its end or the end of its source does
  /// not fit 64 bits, when its kind is not known, or when its compressed run does not
  /// hold it.
  ///
  /// - Parameter runs: the section of compressed runs.
  @inline(__always)
  func extent(_ runs: RecordTable<CompressedRunRecord>) -> FileExtent? {
    guard length > 0, !offset.addingReportingOverflow(length).overflow,
      !source.addingReportingOverflow(length).overflow, let kind = Kind(rawValue: kind)
    else { return nil }
    let source: FileExtent.Source
    switch kind {
    case .stored:
      source = .stored(StoreAddress(store: StoreID(rawValue: store), offset: self.source))
    case .unwritten: source = .unwritten
    case .inline: source = .inline(heapOffset: self.source)
    case .compressed:
      guard let run = try? runs.record(at: self.source).run, run.holds(length) else { return nil }
      source = .compressed(run)
    case .encoded: source = .encoded
    case .unreadable: source = .unreadable
    }
    return FileExtent(offset: offset, length: length, source: source)
  }
}

/// A compressed run of a store; belongs to one extent.
struct CompressedRunRecord: Record {
  static let size = 32
  static let noun = "compressed run"

  /// Bytes from the start of the store.
  var address: UInt64
  /// Bytes in the store.
  var storedLength: UInt32
  /// Bytes that it decodes to.
  var decodedLength: UInt32
  /// Where the extent's first byte is in what the run decodes to.
  var offset: UInt32
  var store: UInt32
  /// A `CompressionAlgorithm`.
  var algorithm: UInt8

  init(_ run: CompressedRun) {
    address = run.address.offset
    storedLength = run.storedLength
    decodedLength = run.decodedLength
    offset = run.offset
    store = run.address.store.rawValue
    algorithm = run.algorithm.rawValue
  }

  @inline(__always)
  init(_ fields: inout FieldReader) {
    address = fields.next()
    storedLength = fields.next()
    decodedLength = fields.next()
    offset = fields.next()
    store = fields.next()
    algorithm = fields.next()
    fields.skip(7)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(address)
    fields.put(storedLength)
    fields.put(decodedLength)
    fields.put(offset)
    fields.put(store)
    fields.put(algorithm)
    fields.put([0, 0, 0, 0, 0, 0, 0])
  }

  /// The run; `nil` when it is out of range, or when its algorithm is not known.
  var run: CompressedRun? {
    CompressionAlgorithm(rawValue: algorithm).flatMap {
      CompressedRun(
        algorithm: $0, address: StoreAddress(store: StoreID(rawValue: store), offset: address),
        storedLength: UInt64(storedLength), decodedLength: UInt64(decodedLength),
        offset: UInt64(offset))
    }
  }
}

/// An extended attribute of a node; a node's lie in ascending order of name.
struct ExtendedAttributeRecord: Record {
  static let size = 24
  static let noun = "extended attribute"

  /// In the heap.
  var nameOffset: UInt64
  /// In the heap.
  var valueOffset: UInt64
  /// Bytes, at most 65,536 (`XATTR_SIZE_MAX`, linux/limits.h).
  var valueLength: UInt32
  /// Bytes, 1 through 255 (`XATTR_NAME_MAX`, linux/limits.h).
  var nameLength: UInt16

  static let maximumValueLength = 65536

  init(nameOffset: UInt64, nameLength: UInt16, valueOffset: UInt64, valueLength: UInt32) {
    self.nameOffset = nameOffset
    self.nameLength = nameLength
    self.valueOffset = valueOffset
    self.valueLength = valueLength
  }

  @inline(__always)
  init(_ fields: inout FieldReader) {
    nameOffset = fields.next()
    valueOffset = fields.next()
    valueLength = fields.next()
    nameLength = fields.next()
    fields.skip(2)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(nameOffset)
    fields.put(valueOffset)
    fields.put(valueLength)
    fields.put(nameLength)
    fields.put(UInt16(0))
  }
}
