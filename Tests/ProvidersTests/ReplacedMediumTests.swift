import Dispatch
import FrozenImage
import HostSystem
import ImageReader
import Logging
import Synchronization
import Testing

@testable import LogicalRepresentation
@testable import Media
@testable import VerifiedReading

/// A medium that is replaced while a read is at work on it.
@Suite("replaced medium", .enabled(if: ExtPrivileges.haveTools))
struct ReplacedMediumTests {
  /// The device that somebody else uses by now. Its first read of data brings another
  /// reader's search to an end, which finds the right medium.
  private final class Reused: Medium {
    let path = "the old device"
    let original: OpenMedium
    let replace: @Sendable () -> Void
    let isReplaced = Atomic(false)

    var size: UInt64 { original.size }

    init(_ original: OpenMedium, replace: @escaping @Sendable () -> Void) {
      self.original = original
      self.replace = replace
    }

    func read(
      into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(MediumError) {
      buffer.initializeMemory(as: UInt8.self, repeating: 0x66)
      if !isReplaced.exchange(true, ordering: .relaxed) { replace() }
    }
  }

  @Test func noByteOfTheOldOneIsTaken() throws {
    // With indirect blocks between them, the file's blocks are several runs.
    let image = try ExtImage(
      "mkfs.ext2 -b 1024", size: "16M", content: "head -c 400000 /dev/urandom > file")
    let described = try DescribedExt(try image.open())
    let volume = described.representation.volumes[0]
    let expected = try contents(of: Array("\(image.directory)/content/file".utf8))
    let description = try #require(volume.media.first)
    let path = image.path
    let table = Mutex<MediaTable?>(nil)
    let opened = Atomic(0)
    let media = MediaTable { _, _ in
      let right = try OpenMedium(path: path)
      guard opened.add(1, ordering: .relaxed).oldValue == 0 else { return right }
      return Reused(right) {
        let isFound = DispatchSemaphore(value: 0)
        let media = table.withLock { $0 }
        media?.search(for: [description], as: volume.state.configurationID) { isFound.signal() }
        isFound.wait()
      }
    }
    table.withLock { $0 = media }
    let reader = try BlockingReader(
      representation: described.representation, volume: volume, media: media,
      source: NobodyAnswers(), options: .init(),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    #expect(try reader.bytes(of: try described.node("file"), at: 0, count: 400_000) == expected)
    #expect(opened.load(ordering: .relaxed) == 2)
    // The read began anew, and is one read.
    let statistics = reader.status.statistics
    #expect(statistics.reads == 1 && statistics.discardedReads == 1)
    #expect(statistics.storageBytes <= 400_384)
  }

  private struct NobodyAnswers: ProductionHost {
    func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
      throw .failed("nobody answers")
    }

    func read(
      inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) -> Int {
      throw .failed("nobody answers")
    }

    func liveCheck() throws(SourceError) {
      throw .failed("nobody answers")
    }
  }
}
