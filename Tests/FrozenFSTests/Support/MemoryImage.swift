import FrozenImage
import ImageReader
import LogicalRepresentation
import Testing

/// A file, directory or other node as a test describes it.
struct SampleNode: Sendable {
  var attributes: NodeAttributes
  var entries: [(name: [UInt8], inode: UInt64)] = []
  /// Places where other trees are nested: empty directories with inode number 2.
  var nested: [String] = []
  var target: [UInt8] = []
  var extendedAttributes: [(name: String, value: [UInt8])] = []
  /// The file's bytes; those outside `data` are zeros.
  var bytes: [UInt8] = []
  /// Where the file has data. Holes are between.
  var data: [Range<UInt64>] = []
  /// Where the file has space without data.
  var unwritten: [Range<UInt64>] = []
  /// Parts that could not be read when the image was frozen.
  var unreadable: [UnreadablePart] = []
  /// What reading the file fails with.
  var failure: ReadError?
  /// Most bytes that one read gives, whether or not the file goes on.
  var longestRead = Int.max
}

/// An image in memory: a representation as the real writer writes it, and its files'
/// bytes.
final class MemoryImage: FileReading {
  let tree: Representation
  private let files: [NodeIndex: SampleNode]
  let reads = Counter()

  static let rootInode: UInt64 = 256

  /// - Parameter nodes: all nodes but the root, any order. Those that no directory
  ///   names are the root's, named by their inode number.
  init(_ nodes: [SampleNode], root: SampleNode? = nil) throws {
    var root = root ?? SampleNode(attributes: .sample(.directory, inode: Self.rootInode))
    let named = Set(nodes.flatMap(\.entries).map(\.inode) + root.entries.map(\.inode))
    root.entries += nodes.map(\.attributes.inode).filter { !named.contains($0) }
      .map { (Array("\($0)".utf8), $0) }
    let all = (nodes + [root]).sorted { $0.attributes.inode < $1.attributes.inode }
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: .sample, volumes: [try .sample()], scratch: scratch)
    let types = Dictionary(
      uniqueKeysWithValues: all.map { ($0.attributes.inode, $0.attributes.type) })
    for node in all { try Self.write(node, types, to: &writer) }
    try writer.finish(rootInode: Self.rootInode, rootName: "data")
    tree = try Representation(ArrayRegion(scratch.result))
    try tree.check()
    var files: [NodeIndex: SampleNode] = [:]
    for node in all where node.attributes.type == .regular {
      let index = try #require(try tree.node(withInode: node.attributes.inode, inRoot: 0))
      files[index] = node
    }
    self.files = files
  }

  private static func write(
    _ node: SampleNode, _ types: [UInt64: FileType], to writer: inout RepresentationWriter
  ) throws {
    if node.unreadable.contains(.node) {
      return try writer.addUnreadableNode(
        inode: node.attributes.inode, type: node.attributes.type, reason: "a test")
    }
    try writer.beginNode(node.attributes)
    for part in node.unreadable { try writer.markUnreadable(part, reason: "a test") }
    for (name, value) in node.extendedAttributes {
      try Array(name.utf8).withUnsafeBytes { name in
        try value.withUnsafeBytes { try writer.addExtendedAttribute(name: name, value: $0) }
      }
    }
    for (name, inode) in node.entries {
      let type = try #require(types[inode])
      try name.withUnsafeBytes { try writer.addEntry(name: $0, inode: inode, type: type) }
    }
    for name in node.nested {
      try Array(name.utf8).withUnsafeBytes {
        try writer.addEmptyDirectory(name: $0, attributes: .sample(.directory, inode: 2))
      }
    }
    if !node.target.isEmpty {
      try node.target.withUnsafeBytes { try writer.setSymbolicLinkTarget($0) }
    }
    // Encoded extents lie in no store, so the test needs no chain of them.
    let runs =
      node.data.map { FileExtent(offset: $0.lowerBound, length: $0.length, source: .encoded) }
      + node.unwritten.map {
        FileExtent(offset: $0.lowerBound, length: $0.length, source: .unwritten)
      }
    for run in runs.sorted(by: { $0.offset < $1.offset }) {
      try writer.addExtent(run, checksums: nil)
    }
    try writer.endNode()
  }

  func read(
    _ node: NodeIndex, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ReadError) -> Int {
    reads.add()
    guard let file = files[node] else { throw .unreadable("node \(node.rawValue) is no file") }
    if let failure = file.failure { throw failure }
    let start = Int(min(offset, UInt64(file.bytes.count)))
    let count = min(buffer.count, file.bytes.count - start, file.longestRead)
    buffer.copyBytes(from: file.bytes[start..<start + count])
    return count
  }
}

extension Range<UInt64> {
  fileprivate var length: UInt64 { upperBound - lowerBound }
}

/// A file of random bytes, all of them data.
func sampleFile(inode: UInt64, size: Int, mode: UInt32 = 0o644) -> SampleNode {
  var file = SampleNode(attributes: .sample(.regular, inode: inode, size: UInt64(size)))
  file.attributes.mode = UInt32(FileType.regular.rawValue) << 12 | mode
  var state = inode &* 0x9E37_79B9_7F4A_7C15
  file.bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
    for position in 0..<size {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      buffer[position] = UInt8(truncatingIfNeeded: state >> 56)
    }
    count = size
  }
  if size > 0 { file.data = [0..<UInt64(size)] }
  return file
}

extension NodeAttributes {
  static func sample(
    _ type: FileType, inode: UInt64, size: UInt64 = 0, links: UInt32 = 1
  ) -> NodeAttributes {
    let time = Timestamp(seconds: 1_600_000_000, nanoseconds: 123_456_789)
    let permissions: UInt32 = type == .directory ? 0o755 : 0o644
    return NodeAttributes(
      inode: inode, generation: 3, mode: UInt32(type.rawValue) << 12 | permissions, links: links,
      owner: 0, group: 0, deviceMajor: 0, deviceMinor: 0, size: size, blocks: (size + 511) / 512,
      accessed: time, modified: time, changed: time, created: nil, inodeFlags: 0)
  }
}

extension ImageDescription {
  fileprivate static let sample = ImageDescription(
    id: UniqueIdentifier(high: 1, low: 2), name: "sample",
    created: Timestamp(seconds: 1_700_000_000, nanoseconds: 5), provider: "btrfs", host: "host",
    source: "/srv/data",
    statistics: FileSystemStatistics(
      blockSize: 4096, blocks: 1000, freeBlocks: 500, availableBlocks: 400, files: 30,
      freeFiles: 20, maximumNameLength: 255))
}

extension VolumeDescription {
  /// A volume of one medium; the test's files do not lie on it.
  fileprivate static func sample() throws -> VolumeDescription {
    let probe = try #require(
      Probe(offset: 65536, length: 4096, fragments: [.init(offset: 32, length: 16)]))
    let medium = MediumDescription(
      id: MediumID(rawValue: UniqueIdentifier(high: 7, low: 1)), label: "devid 1", size: 1 << 20,
      path: "/dev/sda", hardwareID: "", identity: probe,
      identityBytes: Array(repeating: 1, count: 16), witness: probe)
    let below = StoreID(rawValue: 1)
    let extent = try StoreExtent(
      offset: 0, length: 1 << 20, columns: 1, copies: 1, stripeLength: 65536,
      targets: [StoreAddress(store: below, offset: 0)])
    let map = try StoreMap(
      stores: [StoreID(rawValue: 0): .logical(label: "btrfs"), below: .physical(medium.id)],
      extents: [StoreID(rawValue: 0): [extent]])
    let witness = ConfigurationID.Entry(medium: medium.id, bytes: Array(repeating: 1, count: 16))
    return VolumeDescription(
      id: UniqueIdentifier(high: 9, low: 9), label: "",
      state: MappingState(configurationID: ConfigurationID(entries: [witness]), cursor: []),
      map: map, media: [medium], checksum: nil, checksumBlockSize: 0)
  }
}
