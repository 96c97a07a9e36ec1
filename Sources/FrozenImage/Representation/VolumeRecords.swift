/// The image itself; there is exactly one.
struct ImageRecord: Record {
  static let size = 144
  static let noun = "image"

  var id: UniqueIdentifier
  var created: Timestamp
  var statistics: FileSystemStatistics
  var name: HeapReference
  var provider: HeapReference
  var host: HeapReference
  var source: HeapReference

  init(
    _ image: ImageDescription, name: HeapReference, provider: HeapReference, host: HeapReference,
    source: HeapReference
  ) {
    id = image.id
    created = image.created
    statistics = image.statistics
    self.name = name
    self.provider = provider
    self.host = host
    self.source = source
  }

  init(_ fields: inout FieldReader) {
    id = fields.identifier()
    let seconds: Int64 = fields.next()
    let blocks: UInt64 = fields.next()
    let freeBlocks: UInt64 = fields.next()
    let availableBlocks: UInt64 = fields.next()
    let files: UInt64 = fields.next()
    let freeFiles: UInt64 = fields.next()
    let nanoseconds: UInt32 = fields.next()
    created = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
    statistics = FileSystemStatistics(
      blockSize: fields.next(), blocks: blocks, freeBlocks: freeBlocks,
      availableBlocks: availableBlocks, files: files, freeFiles: freeFiles,
      maximumNameLength: fields.next())
    fields.skip(4)
    name = fields.reference()
    provider = fields.reference()
    host = fields.reference()
    source = fields.reference()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(created.seconds)
    fields.put(statistics.blocks)
    fields.put(statistics.freeBlocks)
    fields.put(statistics.availableBlocks)
    fields.put(statistics.files)
    fields.put(statistics.freeFiles)
    fields.put(created.nanoseconds)
    fields.put(statistics.blockSize)
    fields.put(statistics.maximumNameLength)
    fields.put(UInt32(0))
    for text in [name, provider, host, source] { fields.put(text) }
  }
}

/// A volume. Its stores and media follow those of the volume before it.
struct VolumeRecord: Record {
  static let size = 88
  static let noun = "volume"

  var id: UniqueIdentifier
  var storeCount: UInt64
  var mediumCount: UInt64
  /// A `ChecksumAlgorithm`, or 0.
  var checksum: UInt16
  /// Bytes.
  var checksumBlockSize: UInt32
  var label: HeapReference
  /// A serialised `ConfigurationID`.
  var configurationID: HeapReference
  /// `MappingState.cursor`.
  var cursor: HeapReference

  init(
    _ volume: VolumeDescription, label: HeapReference, configurationID: HeapReference,
    cursor: HeapReference
  ) {
    id = volume.id
    storeCount = UInt64(volume.map.stores.count)
    mediumCount = UInt64(volume.media.count)
    checksum = volume.checksum?.rawValue ?? 0
    checksumBlockSize = volume.checksumBlockSize
    self.label = label
    self.configurationID = configurationID
    self.cursor = cursor
  }

  init(_ fields: inout FieldReader) {
    id = fields.identifier()
    storeCount = fields.next()
    mediumCount = fields.next()
    checksumBlockSize = fields.next()
    checksum = fields.next()
    fields.skip(2)
    label = fields.reference()
    configurationID = fields.reference()
    cursor = fields.reference()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(storeCount)
    fields.put(mediumCount)
    fields.put(checksumBlockSize)
    fields.put(checksum)
    fields.put(UInt16(0))
    for bytes in [label, configurationID, cursor] { fields.put(bytes) }
  }
}

/// A file tree. Its nodes follow those of the tree before it.
struct RootRecord: Record {
  static let size = 48
  static let noun = "root"

  var name: HeapReference
  /// The top directory's record.
  var node: UInt64
  /// Nodes with inode numbers of their own.
  var nodeCount: UInt64
  /// Empty directories that stand for nested trees, after the nodes.
  var placeholderCount: UInt64
  /// Index of the volume that holds the data.
  var volume: UInt32

  init(
    name: HeapReference, volume: UInt32, node: UInt64, nodeCount: UInt64, placeholderCount: UInt64
  ) {
    self.name = name
    self.volume = volume
    self.node = node
    self.nodeCount = nodeCount
    self.placeholderCount = placeholderCount
  }

  init(_ fields: inout FieldReader) {
    name = fields.reference()
    node = fields.next()
    nodeCount = fields.next()
    placeholderCount = fields.next()
    volume = fields.next()
    fields.skip(4)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(name)
    fields.put(node)
    fields.put(nodeCount)
    fields.put(placeholderCount)
    fields.put(volume)
    fields.put(UInt32(0))
  }
}

/// A store of a volume. Its extents follow those of the store before it.
struct StoreRecord: Record {
  static let size = 48
  static let noun = "store"

  /// The values of `kind`.
  static let physical: UInt32 = 0
  static let logical: UInt32 = 1

  var id: UInt32
  var kind: UInt32
  /// Of a physical store; zeros for a logical one.
  var medium: UniqueIdentifier
  /// Of a logical store; empty for a physical one.
  var label: HeapReference
  var extentCount: UInt64

  init(
    id: UInt32, kind: UInt32, medium: UniqueIdentifier, label: HeapReference, extentCount: UInt64
  ) {
    self.id = id
    self.kind = kind
    self.medium = medium
    self.label = label
    self.extentCount = extentCount
  }

  init(_ fields: inout FieldReader) {
    id = fields.next()
    kind = fields.next()
    medium = fields.identifier()
    label = fields.reference()
    extentCount = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(kind)
    fields.put(medium)
    fields.put(label)
    fields.put(extentCount)
  }
}

/// A store extent. Its `columns` × `copies` targets follow those of the extent
/// before it.
struct StoreExtentRecord: Record {
  static let size = 32
  static let noun = "store extent"

  var offset: UInt64
  var length: UInt64
  var stripeLength: UInt64
  var columns: UInt32
  var copies: UInt32

  init(_ extent: StoreExtent) {
    offset = extent.offset
    length = extent.length
    stripeLength = extent.stripeLength
    // At most `StoreExtent.maximumTargets`.
    columns = UInt32(extent.columns)
    copies = UInt32(extent.copies)
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    length = fields.next()
    stripeLength = fields.next()
    columns = fields.next()
    copies = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(length)
    fields.put(stripeLength)
    fields.put(columns)
    fields.put(copies)
  }
}

/// Where a copy of a column of a store extent begins.
struct StripeTargetRecord: Record {
  static let size = 16
  static let noun = "stripe target"

  var offset: UInt64
  var store: UInt32

  init(_ address: StoreAddress) {
    offset = address.offset
    store = address.store.rawValue
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    store = fields.next()
    fields.skip(4)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(store)
    fields.put(UInt32(0))
  }
}

/// A medium of a volume. The fragments of its identity probe, then of its witness
/// probe, follow those of the medium before it.
struct MediumRecord: Record {
  static let size = 120
  static let noun = "medium"

  var id: UniqueIdentifier
  var size: UInt64
  var identity: ProbeFields
  /// Without fragments when the stack has no witness.
  var witness: ProbeFields
  var label: HeapReference
  var path: HeapReference
  var hardwareID: HeapReference
  var identityBytes: HeapReference

  /// The window of a probe, and how many fragments of it count.
  struct ProbeFields {
    var offset: UInt64 = 0
    var length: UInt32 = 0
    var fragmentCount: UInt32 = 0
  }

  init(
    _ medium: MediumDescription, label: HeapReference, path: HeapReference,
    hardwareID: HeapReference, identityBytes: HeapReference
  ) {
    id = medium.id.rawValue
    size = medium.size
    identity = ProbeFields(medium.identity)
    witness = medium.witness.map(ProbeFields.init) ?? ProbeFields()
    self.label = label
    self.path = path
    self.hardwareID = hardwareID
    self.identityBytes = identityBytes
  }

  init(_ fields: inout FieldReader) {
    id = fields.identifier()
    size = fields.next()
    identity = ProbeFields(
      offset: fields.next(), length: fields.next(), fragmentCount: fields.next())
    witness = ProbeFields(
      offset: fields.next(), length: fields.next(), fragmentCount: fields.next())
    label = fields.reference()
    path = fields.reference()
    hardwareID = fields.reference()
    identityBytes = fields.reference()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(size)
    for probe in [identity, witness] {
      fields.put(probe.offset)
      fields.put(probe.length)
      fields.put(probe.fragmentCount)
    }
    for bytes in [label, path, hardwareID, identityBytes] { fields.put(bytes) }
  }
}

extension MediumRecord.ProbeFields {
  init(_ probe: Probe) {
    offset = probe.offset
    // A window has at most 65,536 bytes, so no more fragments either.
    length = UInt32(probe.length)
    fragmentCount = UInt32(probe.fragments.count)
  }
}

/// A fragment of a probe's window.
struct FragmentRecord: Record {
  static let size = 8
  static let noun = "fragment"

  /// Bytes from the start of the window.
  var offset: UInt32
  /// Bytes.
  var length: UInt32

  init(_ fragment: Probe.Fragment) {
    offset = UInt32(fragment.offset)
    length = UInt32(fragment.length)
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    length = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(length)
  }
}
