package import FrozenImage
import LogicalRepresentation

extension ImageDescription {
  /// Of an image that a test writes.
  package static func sample(
    _ id: UniqueIdentifier, name: String = "sample", service: String = "",
    freezeLead: UInt32 = 0
  ) -> ImageDescription {
    ImageDescription(
      id: id, name: name, created: Timestamp(seconds: 1_700_000_000, nanoseconds: 5),
      provider: "memory", host: "production1", source: "/srv/data", service: service,
      statistics: FileSystemStatistics(
        blockSize: 4096, blocks: 1000, freeBlocks: 500, availableBlocks: 400, files: 30,
        freeFiles: 20, maximumNameLength: 255),
      freezeLead: freezeLead)
  }
}

extension VolumeDescription {
  /// A volume of one medium, on which no file of the test lies.
  package static func sample() throws -> VolumeDescription {
    guard let probe = Probe(offset: 0, length: 4096, fragments: [.init(offset: 32, length: 16)])
    else { throw ChainError.malformedExtent(offset: 0) }
    let medium = MediumDescription(
      id: MediumID(rawValue: UniqueIdentifier(high: 7, low: 1)), label: "devid 1", size: 1 << 20,
      path: "/dev/sda", hardwareID: "", identity: probe,
      identityBytes: Array(repeating: 1, count: 16), witness: probe)
    let below = StoreID(rawValue: 1)
    let map = try StoreMap(
      stores: [StoreID(rawValue: 0): .logical(label: "top"), below: .physical(medium.id)],
      extents: [
        StoreID(rawValue: 0): [
          .linear(offset: 0, length: 1 << 20, target: StoreAddress(store: below, offset: 0))
        ]
      ])
    let witness = ConfigurationID.Entry(medium: medium.id, bytes: Array(repeating: 1, count: 16))
    return VolumeDescription(
      id: UniqueIdentifier(high: 9, low: 9), label: "",
      state: MappingState(configurationID: ConfigurationID(entries: [witness]), cursor: []),
      map: map, media: [medium], checksum: nil, checksumBlockSize: 0)
  }
}

extension NodeAttributes {
  /// Of a node with common permissions.
  package static func sample(
    _ type: FileType, inode: UInt64, size: UInt64 = 0, links: UInt32 = 1
  ) -> NodeAttributes {
    let time = Timestamp(seconds: 1_600_000_000, nanoseconds: 0)
    let permissions: UInt32 = type == .directory ? 0o755 : 0o644
    return NodeAttributes(
      inode: inode, generation: 1, mode: UInt32(type.rawValue) << 12 | permissions, links: links,
      owner: 0, group: 0, deviceMajor: 0, deviceMinor: 0, size: size, blocks: (size + 511) / 512,
      accessed: time, modified: time, changed: time, created: nil, inodeFlags: 0)
  }
}

extension RepresentationWriter {
  /// Adds a directory.
  package mutating func addDirectory(
    _ inode: UInt64, _ entries: [(name: String, inode: UInt64, type: FileType)]
  ) throws {
    try beginNode(.sample(.directory, inode: inode))
    for entry in entries {
      try Array(entry.name.utf8).withUnsafeBytes {
        try addEntry(name: $0, inode: entry.inode, type: entry.type)
      }
    }
    try endNode()
  }

  /// Adds a file whose bytes are in the representation itself.
  package mutating func addFile(_ inode: UInt64, _ bytes: [UInt8], links: UInt32 = 1) throws {
    try beginNode(.sample(.regular, inode: inode, size: UInt64(bytes.count), links: links))
    try bytes.withUnsafeBytes {
      if !bytes.isEmpty { try addInline(offset: 0, length: UInt64(bytes.count), bytes: $0) }
    }
    try endNode()
  }
}
