import FrozenImage

/// The image itself; there is exactly one.
struct ImageRecord: Record {
  static let size = 160
  static let noun = "image"

  var id: UniqueIdentifier
  var created: Timestamp
  /// Seconds; 0 in representations of before there was one.
  var freezeLead: UInt32
  var statistics: FileSystemStatistics
  var name: HeapReference
  var provider: HeapReference
  var host: HeapReference
  var source: HeapReference
  var service: HeapReference

  init(
    _ image: ImageDescription, name: HeapReference, provider: HeapReference, host: HeapReference,
    source: HeapReference, service: HeapReference
  ) {
    id = image.id
    created = image.created
    freezeLead = image.freezeLead
    statistics = image.statistics
    self.name = name
    self.provider = provider
    self.host = host
    self.source = source
    self.service = service
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
    freezeLead = fields.next()
    name = fields.reference()
    provider = fields.reference()
    host = fields.reference()
    source = fields.reference()
    service = fields.reference()
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
    fields.put(freezeLead)
    for text in [name, provider, host, source, service] { fields.put(text) }
  }
}

/// A volume. Its stores and media follow those of the volume before it.
struct VolumeRecord: Record {
  static let size = 88
  static let noun = "volume"

  var id: UniqueIdentifier
  var storeCount: UInt64
  var mediumCount: UInt64
  /// A `Validation`.
  var validation: UInt16
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
    validation = volume.validation.rawValue
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
    validation = fields.next()
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
    fields.put(validation)
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
  /// A `Root.View`.
  var view: UInt32

  init(
    name: HeapReference, volume: UInt32, view: UInt32, node: UInt64, nodeCount: UInt64,
    placeholderCount: UInt64
  ) {
    self.name = name
    self.volume = volume
    self.view = view
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
    view = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(name)
    fields.put(node)
    fields.put(nodeCount)
    fields.put(placeholderCount)
    fields.put(volume)
    fields.put(view)
  }
}
