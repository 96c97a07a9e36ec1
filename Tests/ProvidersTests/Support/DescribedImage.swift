import BtrfsProvider
import FrozenImage
import Glibc
import LogicalRepresentation

/// Scratch space and representation in memory.
final class ArrayScratch: RepresentationScratch {
  private var sections = [[UInt8]](repeating: [], count: ScratchSection.allCases.count)
  private(set) var result: [UInt8] = []

  func append(_ bytes: UnsafeRawBufferPointer, to section: ScratchSection) throws(ScratchError) {
    sections[section.rawValue] += bytes
  }

  func read(
    _ section: ScratchSection, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    let start = Int(offset)
    buffer.copyBytes(from: sections[section.rawValue][start..<start + buffer.count])
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ScratchError) {
    let end = Int(offset) + bytes.count
    if result.count < end { result += [UInt8](repeating: 0, count: end - result.count) }
    result.replaceSubrange(Int(offset)..<end, with: bytes)
  }

  func commit() throws(ScratchError) {}
}

final class ArrayRegion: ByteRegion {
  let bytes: UnsafeRawBufferPointer

  init(_ array: [UInt8]) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: array.count, alignment: 16)
    copy.copyBytes(from: array)
    bytes = UnsafeRawBufferPointer(copy)
  }

  deinit { bytes.deallocate() }
}

extension ArrayRegion: @unchecked Sendable {}

/// A subvolume that was frozen and described.
final class DescribedImage {
  let frozen: BtrfsImage
  let id = UniqueIdentifier.random()
  let representation: Representation
  let source: BtrfsSource

  init(_ path: String) throws {
    frozen = try BtrfsFreezer(path: path).freeze(as: id)
    let representation = try Self.describe(frozen, as: id, of: path)
    self.representation = representation
    source = try BtrfsSource(frozen, representation: { representation })
  }

  static func describe(
    _ frozen: BtrfsImage, as id: UniqueIdentifier, of path: String
  ) throws -> Representation {
    let scratch = ArrayScratch()
    try BtrfsFreezer.describe(
      frozen, as: id, name: "test", host: "here", source: path, scratch: scratch,
      progress: { _ in })
    let representation = try Representation(ArrayRegion(scratch.result))
    try representation.check()
    return representation
  }

  var volume: VolumeDescription { representation.volumes[0] }

  /// The question of a backup host that sees every medium as the state shows it.
  func question(since state: MappingState, _ portions: [Portion] = []) -> MappingQuestion {
    MappingQuestion(known: state, found: state.configurationID, portions: portions)
  }

  /// A file of the image: its path inside the image, from a slash on.
  struct File {
    let path: [UInt8]
    let node: NodeIndex
    var text: String { String(decoding: path, as: UTF8.self) }
  }

  /// All regular files, hard links several times.
  func files() throws -> [File] {
    var files: [File] = []
    var directories = [File(path: [], node: representation.roots[0].node)]
    while let directory = directories.popLast() {
      for position in 0..<UInt64.max {
        guard let entry = try representation.entry(at: position, of: directory.node) else { break }
        let file = File(
          path: directory.path + [UInt8(ascii: "/")] + Array(entry.name), node: entry.node)
        if entry.type == .directory { directories.append(file) }
        if entry.type == .regular { files.append(file) }
      }
    }
    return files
  }

  /// A file's bytes, from the snapshot.
  func contents(of file: File) throws -> [UInt8] {
    try ProvidersTests.contents(of: Array(frozen.snapshotPath.utf8) + file.path)
  }
}
