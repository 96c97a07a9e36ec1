import FrozenImage

/// The constants of the format; docs/REPRESENTATION.md describes it field by field.
enum Format {
  /// A byte above ASCII and both kinds of line end show a transfer that was not
  /// binary, as PNG's signature does.
  static let magic: [UInt8] = [0x89, 0x66, 0x6C, 0x6F, 0x65, 0x0D, 0x0A, 0x1A]
  static let major: UInt16 = 1
  static let minor: UInt16 = 0
  /// An incompatible feature: the image has parts that could not be read when it was
  /// frozen. Whoever does not know it would show them as empty.
  static let unreadableParts: UInt64 = 1
  /// An incompatible feature: elements of a column do not lie one after the other. Whoever
  /// does not know it would read parity.
  static let spacedColumns: UInt64 = 2
  /// Features that a reader must know.
  static let knownIncompatible: UInt64 = unreadableParts | spacedColumns
  /// Sections begin at multiples of this.
  static let alignment: UInt64 = 8
  /// More than version 1 has, so that later minor versions can add some.
  static let maximumSections = 64
  /// Stands for "no record".
  static let none = UInt64.max
  /// Where a file's last extent may end: no file is longer than 2⁶³ − 1 bytes, but the
  /// last block of such a one ends here.
  static let maximumFileEnd: UInt64 = 1 << 63
}

/// The sections of version 1, in the order in which the writer lays them out.
enum Section: UInt32, CaseIterable, Sendable {
  case image = 1
  case volumes = 2
  case roots = 3
  case stores = 4
  case storeExtents = 5
  case stripeTargets = 6
  case media = 7
  case windows = 8
  case fragments = 9
  case nodes = 10
  case entries = 11
  case extents = 12
  case compressedRuns = 13
  case checksums = 14
  case extendedAttributes = 15
  case heap = 16
  /// Only where something is unreadable.
  case unreadable = 17
  /// Only where a state has some; whoever does not know them reads as before.
  case marks = 18
  /// Only where a volume has one; whoever does not know them asks the production host.
  case trails = 19
  /// Only where a store extent has one; whoever does not know them reads mirrors through the
  /// production host.
  case placements = 20
  /// Only where nodes are copies of others; whoever does not know it shows the copies' own
  /// inode numbers and change times.
  case identities = 21

  /// Whether a representation may be without it.
  var isOptional: Bool { self.rawValue >= Section.unreadable.rawValue }

  /// Bytes of a record.
  var recordSize: Int {
    switch self {
    case .image: ImageRecord.size
    case .volumes: VolumeRecord.size
    case .roots: RootRecord.size
    case .stores: StoreRecord.size
    case .storeExtents: StoreExtentRecord.size
    case .stripeTargets: StripeTargetRecord.size
    case .media: MediumRecord.size
    case .windows: WindowRecord.size
    case .fragments: FragmentRecord.size
    case .nodes: NodeRecord.size
    case .entries: EntryRecord.size
    case .extents: ExtentRecord.size
    case .extendedAttributes: ExtendedAttributeRecord.size
    case .compressedRuns: CompressedRunRecord.size
    case .checksums, .heap: 1
    case .unreadable: UnreadableRecord.size
    case .marks: MarkRecord.size
    case .trails: TrailRecord.size
    case .placements: PlacementRecord.size
    case .identities: IdentityRecord.size
    }
  }
}

/// The first bytes of a representation.
struct HeaderRecord: Record {
  static let size = 64
  static let noun = "header"

  var major = Format.major
  var minor = Format.minor
  var incompatible: UInt64 = 0
  var compatible: UInt64 = 0
  /// Bytes of the whole representation.
  var fileLength: UInt64
  /// Records of the section table, which follows the header.
  var sectionCount: UInt32
  /// CRC-32C of the section table.
  var tableChecksum: UInt32

  init(fileLength: UInt64, sectionCount: UInt32, tableChecksum: UInt32) {
    self.fileLength = fileLength
    self.sectionCount = sectionCount
    self.tableChecksum = tableChecksum
  }

  /// The magic and the header's own checksum are the caller's affair.
  init(_ fields: inout FieldReader) {
    fields.skip(Format.magic.count)
    major = fields.next()
    minor = fields.next()
    fields.skip(4)
    incompatible = fields.next()
    compatible = fields.next()
    fileLength = fields.next()
    sectionCount = fields.next()
    tableChecksum = fields.next()
    fields.skip(16)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(Format.magic)
    fields.put(major)
    fields.put(minor)
    fields.put(UInt32(0))
    fields.put(incompatible)
    fields.put(compatible)
    fields.put(fileLength)
    fields.put(sectionCount)
    fields.put(tableChecksum)
    fields.put(UInt64(0))
    fields.put(UInt32(0))
    fields.put(CRC32C.checksum(fields.bytes))
  }
}

/// Where a section lies.
struct SectionRecord: Record {
  static let size = 40
  static let noun = "section"

  /// A `Section`'s value, or one that a later minor version added.
  var kind: UInt32
  /// Bytes of a record.
  var recordSize: UInt32
  /// Bytes from the start of the representation.
  var offset: UInt64
  /// Bytes.
  var length: UInt64
  /// Records.
  var count: UInt64
  /// CRC-32C of the section's bytes.
  var checksum: UInt32

  init(
    kind: UInt32, recordSize: UInt32, offset: UInt64, length: UInt64, count: UInt64,
    checksum: UInt32
  ) {
    self.kind = kind
    self.recordSize = recordSize
    self.offset = offset
    self.length = length
    self.count = count
    self.checksum = checksum
  }

  init(_ fields: inout FieldReader) {
    kind = fields.next()
    recordSize = fields.next()
    offset = fields.next()
    length = fields.next()
    count = fields.next()
    checksum = fields.next()
    fields.skip(4)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(kind)
    fields.put(recordSize)
    fields.put(offset)
    fields.put(length)
    fields.put(count)
    fields.put(checksum)
    fields.put(UInt32(0))
  }
}
