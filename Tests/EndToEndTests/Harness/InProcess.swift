import BtrfsProvider
import DataSets
import FrozenImage
import HostSystem
import ImageReader
import Logging
import LogicalRepresentation
import Media
import StackProvider
import SystemPackage
import VerifiedReading

/// A medium whose witness always reads as it did at first, and whose marks are always there:
/// a reader of it believes that nothing ever moves. With it a reader's witness check is
/// switched off.
final class BlindMedium: Medium {
  /// Bytes that are always shown.
  private struct Shown {
    let offset: UInt64
    let bytes: [UInt8]
  }

  private let medium: any Medium
  private let shown: [Shown]

  var path: String { medium.path }
  var size: UInt64 { medium.size }

  init(_ medium: any Medium, witness probe: Probe, marks: [StateMark]) throws {
    self.medium = medium
    let witness = try probe.windows.map { window in
      var bytes = [UInt8](repeating: 0, count: window.length)
      try bytes.withUnsafeMutableBytes { try medium.read(into: $0, at: window.offset) }
      return Shown(offset: window.offset, bytes: bytes)
    }
    shown = witness + marks.map { Shown(offset: $0.offset, bytes: $0.bytes) }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(MediumError) {
    let shown = shown.first { $0.offset == offset && $0.bytes.count == buffer.count }
    guard let shown else { return try medium.read(into: buffer, at: offset) }
    buffer.copyBytes(from: shown.bytes)
  }
}

/// An image that this process freezes and reads itself, with the modules that the
/// program is made of, and no wire or mount between.
struct InProcessImage {
  let reader: BlockingReader
  let snapshot: String

  /// - Parameter checksWitness: whether the reader sees the media's witness as it is.
  init(_ volume: Volume, subvolume: String, checksWitness: Bool) throws {
    let id = UniqueIdentifier.random()
    let frozen = try BtrfsFreezer(
      path: subvolume, barrier: WriterBarrier(program: Floe.program)
    ).freeze(as: id)
    snapshot = frozen.snapshotPath
    let file = FilePath("\(volume.scratch.path)/\(id)")
    try BtrfsFreezer.describe(
      frozen, as: id, name: "image", host: "here", source: subvolume,
      scratch: FileScratch(writing: file), progress: { _ in })
    let representation = try Self.open(file)
    let paths = Dictionary(uniqueKeysWithValues: volume.devices.map { ($0.medium, $0.loop) })
    reader = try Self.reader(
      of: representation, source: BtrfsSource(frozen, representation: { representation }),
      checksWitness: checksWitness
    ) { paths[$0.id.description] ?? "" }
  }

  /// An image of a logical volume.
  ///
  /// - Parameter asksStorage: whether the storage itself answers, and nobody else.
  init(_ volume: LogicalVolume, checksWitness: Bool, asksStorage: Bool = false) throws {
    let freezer = try StackFreezer(
      StackPlace(
        start: .volumeGroup(volume.group), selectors: [volume.name], physicalVolumes: [],
        assumesFrozen: false))
    let file = FilePath("\(volume.scratch.path)/image.floe")
    try freezer.describe(
      FrozenImageLabel(
        id: .random(), name: "image", created: Timestamp(seconds: 0, nanoseconds: 0),
        host: "here", source: volume.path, service: ""),
      scratch: FileScratch(writing: file), progress: { _ in })
    snapshot = ""
    let representation = try Self.open(file)
    let host = StackSource(try freezer.image(), representation: { representation })
    let storage = asksStorage ? try Self.storage(of: representation) : nil
    reader = try Self.reader(
      of: representation, source: storage ?? host, checksWitness: checksWitness
    ) { $0.path }
  }

  /// What answers from the media of an image.
  private static func storage(of representation: Representation) throws -> StorageSource {
    let media = try representation.volumes[0].media.map { ($0.id, try OpenMedium(path: $0.path)) }
    let known = Dictionary(uniqueKeysWithValues: media)
    let source = StorageSource(
      representation, volume: representation.volumes[0], medium: { known[$0] },
      take: { throw HarnessError("nobody has \($0.label)") })
    guard let source else { throw HarnessError("the storage does not tell") }
    return source
  }

  private static func open(_ file: FilePath) throws -> Representation {
    let descriptor = try FileDescriptor.open(file, .readOnly)
    // Only a file without a name is mapped: nobody else can change it then.
    try run("rm", [file.string])
    return try Representation(MappedFile(descriptor: descriptor))
  }

  private static func reader(
    of representation: Representation, source: any ImageReader.ProductionHost, checksWitness: Bool,
    path: @escaping @Sendable (MediumDescription) -> String
  ) throws -> BlockingReader {
    var options = BlockingReader.Options()
    // Checksums would find most stale reads by themselves.
    options.verifiesChecksums = false
    let volume = representation.volumes[0]
    return try BlockingReader(
      representation: representation, volume: volume,
      media: MediaTable { description, _ in
        let medium = try OpenMedium(path: path(description))
        guard let witness = description.witness, !checksWitness else { return medium }
        let marks = volume.state.marks.filter { $0.medium == description.id }
        return try BlindMedium(medium, witness: witness, marks: marks)
      },
      source: source, options: options,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// Reads whose bytes turned out to lie elsewhere than last known.
  var remaps: UInt64 { reader.status.statistics.remaps }

  /// The node of a path.
  func node(_ path: String) throws -> NodeIndex {
    var node = reader.representation.roots[0].node
    for name in path.split(separator: "/") {
      let child = try Array(name.utf8).withUnsafeBytes {
        try reader.representation.lookup($0, in: node)
      }
      guard let child else { throw HarnessError("the image has no \(path)") }
      node = child
    }
    return node
  }

  /// Reads a piece of a file.
  func read(_ node: NodeIndex, at offset: Int, count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = try bytes.withUnsafeMutableBytes {
      try reader.read(node, at: UInt64(offset), into: $0)
    }
    return Array(bytes.prefix(got))
  }
}
