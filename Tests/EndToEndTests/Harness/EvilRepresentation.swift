import DataSets
import FrozenImage
import LogicalRepresentation
import SystemPackage

/// A representation that somebody made up, with the project's own writer: it shows a medium
/// of the backup host as the file `loot` that everybody may read.
enum EvilRepresentation {
  /// Where the bytes lie that the medium is to be known by, and what they are.
  struct Known {
    let offset: UInt64
    let bytes: [UInt8]
  }

  /// Writes one.
  ///
  /// - Parameters:
  ///   - path: of the medium, as it is recorded.
  ///   - known: its identity, which is also what is called the witness.
  ///   - service: the service that it names; empty for none.
  ///   - user: whose file it is to be.
  static func write(
    to output: String, of path: String, size: UInt64, known: Known, service: String = "",
    user: UInt32
  ) throws {
    guard
      let probe = Probe(
        offset: known.offset, length: known.bytes.count,
        fragments: [Probe.Fragment(offset: 0, length: known.bytes.count)])
    else { throw HarnessError("the identity is malformed") }
    let id = MediumID(rawValue: .random())
    let medium = MediumDescription(
      id: id, label: "loot", size: size, path: path, hardwareID: "", identity: probe,
      identityBytes: known.bytes, witness: probe)
    let store = StoreID(rawValue: 0)
    let volume = VolumeDescription(
      id: .random(), label: "loot",
      state: MappingState(
        configurationID: ConfigurationID(entries: [.init(medium: id, bytes: known.bytes)]),
        cursor: []), map: try StoreMap(stores: [store: .physical(id)], extents: [:]),
      media: [medium], checksum: nil, checksumBlockSize: 0)
    let image = ImageDescription(
      id: .random(), name: "evil", created: Timestamp(seconds: 0, nanoseconds: 0),
      provider: "volume", host: "elsewhere", source: path, service: service,
      statistics: FileSystemStatistics(
        blockSize: 512, blocks: 0, freeBlocks: 0, availableBlocks: 0, files: 2, freeFiles: 0,
        maximumNameLength: 255))
    var writer = try RepresentationWriter(
      image: image, volumes: [volume], scratch: FileScratch(writing: FilePath(output)))
    try writer.beginNode(attributes(1, mode: 0o040555, size: 0))
    try Array("loot".utf8).withUnsafeBytes {
      try writer.addEntry(name: $0, inode: 2, type: .regular)
    }
    try writer.endNode()
    try writer.beginNode(attributes(2, mode: 0o100444, size: size))
    try writer.addExtent(
      FileExtent(
        offset: 0, length: size, source: .stored(StoreAddress(store: store, offset: 0))),
      checksums: nil)
    try writer.endNode()
    try writer.finish(rootInode: 1, rootName: "evil")
    // It came from elsewhere: a copy does not bear the mark of this host.
    try run("cp", [output, "\(output).copy"])
    try run("mv", ["\(output).copy", output])
    try run("chown", ["\(user)", output])
  }

  private static func attributes(_ inode: UInt64, mode: UInt32, size: UInt64) -> NodeAttributes {
    let time = Timestamp(seconds: 0, nanoseconds: 0)
    return NodeAttributes(
      inode: inode, generation: 0, mode: mode, links: mode & 0o040000 != 0 ? 2 : 1, owner: 0,
      group: 0, deviceMajor: 0, deviceMinor: 0, size: size, blocks: size / 512, accessed: time,
      modified: time, changed: time, created: time, inodeFlags: 0)
  }
}
