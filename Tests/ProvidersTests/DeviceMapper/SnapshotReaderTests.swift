import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Logging
import LogicalRepresentation
import Synchronization
import Testing
import VerifiedReading

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
@testable import VolumeLayers

/// The reader of a backup host, its witness checks and questions included, on a thick
/// snapshot whose origin is overwritten all the while.
@Suite("Reader of a thick snapshot")
struct SnapshotReaderTests {
  private static let chunkSize = 512
  private static let chunks = 2000

  /// Answers as `StackSource` does, without devices.
  private struct Host: ImageReader.ProductionHost {
    let watch: StackWatch

    func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
      do {
        guard let look = try watch.look() else { throw StackError(.inUse, "it keeps changing") }
        return MappingAnswer(
          state: MappingState(configurationID: look.configurationID, cursor: []),
          changes: .ranges([]), volume: try watch.volume(of: look, since: question.known),
          behind: look.behind(
            question, knowing: watch.media(of: question.known.configurationID)), located: [])
      } catch {
        throw .failed("\(error)")
      }
    }

    func read(
      inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) -> Int {
      do {
        guard let look = try watch.look() else { throw StackError(.inUse, "it keeps changing") }
        return try RawVolume.read(look.stack.top, offset: offset, into: buffer)
      } catch {
        throw .failed("\(error)")
      }
    }

    func liveCheck() {}
  }

  /// Shows the witness as it was at first: the check of a reader of it is switched off.
  private struct BlindMedium: Medium {
    let medium: any Medium
    let witness: [(window: Probe.Window, bytes: [UInt8])]

    var path: String { medium.path }
    var size: UInt64 { medium.size }

    func read(
      into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(MediumError) {
      let first = witness.first {
        $0.window.offset == offset && $0.window.length == buffer.count
      }
      guard let first else { return try medium.read(into: buffer, at: offset) }
      buffer.copyBytes(from: first.bytes)
    }
  }

  private func describe(_ look: StackWatch.Look) throws -> Representation {
    let label = FrozenImageLabel(
      id: .random(), name: "image", created: Timestamp(seconds: 0, nanoseconds: 0), host: "here",
      source: "snapshot", service: "")
    let volume = VolumeDescription(
      id: .random(), label: "snapshot",
      state: MappingState(configurationID: look.configurationID, cursor: []),
      map: try look.stack.storeMap(), media: look.media, validation: look.stack.validation,
      checksum: nil, checksumBlockSize: 0)
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: label.description(
        provider: "volume",
        statistics: FileSystemStatistics(
          blockSize: 512, blocks: 1, freeBlocks: 0, availableBlocks: 0, files: 2, freeFiles: 0,
          maximumNameLength: 255)),
      volumes: [volume], scratch: scratch)
    try RawVolume(layer: look.stack.top, created: label.created, owner: 0, group: 0)
      .describe(into: &writer)
    try writer.finish([RawVolume.root])
    return try Representation(ArrayRegion(scratch.result))
  }

  private struct Outcome {
    var wrong = 0
    var remaps: UInt64 = 0
    var stale: UInt64 = 0
  }

  private func readWhileItMoves(checksWitness: Bool) throws -> Outcome {
    let size = Self.chunks * Self.chunkSize
    let store = WrittenStore(
      chunkSize: Self.chunkSize, originSize: size, storeSize: 2 * size)
    let host = Host(
      watch: StackWatch {
        FoundStack(try Stack(top: Layer(store.runs().map())), content: nil, pins: [])
      })
    let look = try #require(try host.watch.look())
    let representation = try describe(look)
    let witness = try #require(look.media[0].witness).windows.map { window in
      (window, try Layer(store.medium).bytes(at: window.offset, count: window.length))
    }
    let reader = try BlockingReader(
      representation: representation, volume: representation.volumes[0],
      media: MediaTable { _, _ in
        checksWitness
          ? store.medium as any Medium : BlindMedium(medium: store.medium, witness: witness)
      }, source: host, options: BlockingReader.Options(),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let file = try Array("data.img".utf8).withUnsafeBytes {
      try representation.lookup($0, in: representation.roots[0].node)
    }
    let node = try #require(file)
    let mover = Mover(store, chunks: (8..<Self.chunks).shuffled())
    try Thread.detach { mover.run() }
    var outcome = Outcome()
    while !mover.isDone {
      let start = Int.random(in: 0..<size)
      let range = start..<min(size, start + .random(in: 1...32768))
      var bytes = [UInt8](repeating: 0, count: range.count)
      let count = try bytes.withUnsafeMutableBytes {
        try reader.read(node, at: UInt64(start), into: $0)
      }
      if count != range.count || bytes[...] != store.frozen[range] { outcome.wrong += 1 }
    }
    outcome.remaps = reader.status.statistics.remaps
    outcome.stale = reader.status.statistics.discardedReads
    return outcome
  }

  /// Overwrites the origin's chunks one by one, each after it was copied.
  private final class Mover: Sendable {
    private let store: WrittenStore
    private let chunks: [Int]
    private let done = Atomic(false)
    var isDone: Bool { done.load(ordering: .acquiring) }

    init(_ store: WrittenStore, chunks: [Int]) {
      self.store = store
      self.chunks = chunks
    }

    func run() {
      for chunk in chunks {
        store.copy(chunk)
        store.overwrite(chunk)
        usleep(1000)
      }
      done.store(true, ordering: .releasing)
    }
  }

  @Test func checked() throws {
    let outcome = try readWhileItMoves(checksWitness: true)
    #expect(outcome.wrong == 0 && outcome.remaps > 0 && outcome.stale > 0, "\(outcome)")
  }

  @Test func unchecked() throws {
    let outcome = try readWhileItMoves(checksWitness: false)
    #expect(outcome.wrong > 0 && outcome.remaps == 0, "\(outcome)")
  }
}
