import DataSets
import FrozenImage
import HostSystem
import ImageFixtures
import ImageReader
import Logging
import LogicalRepresentation
import Synchronization
import SystemPackage
import Testing
import VerifiedReading

@testable import ImageAccess

/// A production host that knows more than the media show, or that sees other media: what its
/// silence leaves open is made up for when it is back. A reader reads a file of one medium.
@Suite struct ConfirmationTests {
  /// A disk whose witness a test changes. Each block is full of its number.
  private final class Disk: Medium {
    let path = "a disk"
    let size: UInt64 = 1 << 20
    let witness = Mutex<UInt8>(1)

    func read(
      into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(MediumError) {
      let shown = witness.withLock { $0 }
      for index in buffer.indices {
        let place = offset + UInt64(index)
        buffer[index] = (32..<48).contains(place) ? shown : UInt8(truncatingIfNeeded: place / 4096)
      }
    }
  }

  /// Says what it is told to.
  private final class Answerer: ProductionHost {
    let outcome: Mutex<Result<MappingAnswer, SourceError>>
    let answers = Mutex(0)
    let looks = Mutex(0)

    init(_ outcome: Result<MappingAnswer, SourceError>) { self.outcome = Mutex(outcome) }

    func become(_ outcome: Result<MappingAnswer, SourceError>) {
      self.outcome.withLock { $0 = outcome }
    }

    func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
      answers.withLock { $0 += 1 }
      return try outcome.withLock { $0 }.get()
    }

    func read(
      inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) -> Int { throw .failed("it reads nothing") }

    func liveCheck() throws(SourceError) {
      looks.withLock { $0 += 1 }
      _ = try outcome.withLock { $0 }.get()
    }
  }

  private let directory: TemporaryDirectory
  private let volume: VolumeDescription
  private let disk = Disk()
  private let silence: Result<MappingAnswer, SourceError> = .failure(.unreachable("it is off"))

  init() throws {
    directory = try TemporaryDirectory()
    volume = try .sample()
  }

  /// - Parameters:
  ///   - witness: what the disk shows.
  ///   - block: of the disk, at which the volume begins.
  private func answer(
    _ witness: UInt8, from block: UInt64, behind: Set<MediumID> = []
  ) throws -> MappingAnswer {
    let medium = volume.media[0]
    let below = StoreID(rawValue: 1)
    let entry = ConfigurationID.Entry(
      medium: medium.id, bytes: Array(repeating: witness, count: 16))
    let map = try StoreMap(
      stores: [StoreID(rawValue: 0): .logical(label: "top"), below: .physical(medium.id)],
      extents: [
        StoreID(rawValue: 0): [
          .linear(
            offset: 0, length: 8192, target: StoreAddress(store: below, offset: block * 4096))
        ]
      ])
    return MappingAnswer(
      state: MappingState(configurationID: ConfigurationID(entries: [entry]), cursor: []),
      changes: .ranges([]), volume: MappingAnswer.Volume(map: map, media: volume.media),
      behind: behind, located: [])
  }

  private func representation() throws -> Representation {
    let path = directory.path.appending("image.floe")
    var writer = try RepresentationWriter(
      image: .sample(.random()), volumes: [volume], scratch: FileScratch(writing: path))
    try writer.addDirectory(256, [("file", 257, .regular)])
    try writer.beginNode(.sample(.regular, inode: 257, size: 4096))
    try writer.addExtent(
      FileExtent(
        offset: 0, length: 4096,
        source: .stored(StoreAddress(store: StoreID(rawValue: 0), offset: 4096))),
      checksums: nil)
    try writer.endNode()
    try writer.finish(rootInode: 256, rootName: "data")
    return try Representation(MappedFile.copy(of: path))
  }

  /// - Returns: what reads, and gives the first byte of the file.
  private func reader(
    _ storage: Answerer, _ host: Answerer, hostKnowsMore: Bool
  ) throws -> (sources: AnswerSources, read: () throws -> UInt8) {
    let sources = AnswerSources(
      .storage, storage: storage, host: host, hasHost: true, tally: AnswerTally(),
      hostKnowsMore: { hostKnowsMore })
    var options = BlockingReader.Options()
    options.limits.remapTimeout = 300_000_000
    let (disk, representation) = (disk, try representation())
    let reader = try BlockingReader(
      representation: representation, volume: volume,
      media: MediaTable { _, _ in disk }, source: sources, options: options,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    sources.follow { [weak reader] isInDoubt in reader?.setDoubt(isInDoubt) }
    let found = try Array("file".utf8).withUnsafeBytes {
      try representation.lookup($0, in: representation.roots[0].node)
    }
    let node = try #require(found)
    return (
      sources,
      {
        var bytes = [UInt8](repeating: 0xFF, count: 4096)
        let count = try bytes.withUnsafeMutableBytes { try reader.read(node, at: 0, into: $0) }
        #expect(count == 4096 && Set(bytes).count == 1)
        return bytes[0]
      }
    )
  }

  /// A leg that the kernel of the production host left out while nobody heard of it.
  @Test func whatTheStorageToldIsConfirmedOnceTheHostIsBack() throws {
    let storage = Answerer(.success(try answer(2, from: 10)))
    let host = Answerer(silence)
    let (sources, read) = try reader(storage, host, hostKnowsMore: true)
    #expect(try read() == 1)
    disk.witness.withLock { $0 = 2 }
    #expect(try read() == 11)
    #expect(sources.checkHost() && host.answers.withLock { $0 } == 0)
    #expect(try read() == 11)
    // The witness shows the state of the storage's answer, so that no read had to ask.
    host.become(.success(try answer(2, from: 20)))
    #expect(sources.checkHost())
    #expect(try read() == 21)
    #expect(host.answers.withLock { $0 } > 0)
    // From then on the witness counts again.
    let count = host.answers.withLock { $0 }
    for _ in 0..<3 { #expect(try read() == 21) }
    #expect(host.answers.withLock { $0 } == count)
    // And what was confirmed is confirmed.
    #expect(sources.checkHost())
    #expect(try read() == 21 && host.answers.withLock { $0 } == count)
  }

  /// A clone shows the witness that the reader knows.
  @Test func readsOfACloneAskTheHost() throws {
    let host = Answerer(.success(try answer(1, from: 0)))
    let (sources, read) = try reader(
      Answerer(.success(try answer(1, from: 0))), host, hostKnowsMore: false)
    #expect(try read() == 1 && host.answers.withLock { $0 } == 0)
    host.become(.success(try answer(9, from: 20, behind: [volume.media[0].id])))
    #expect(sources.checkHost(comparing: true))
    let count = host.answers.withLock { $0 }
    #expect(throws: (any Error).self) { try read() }
    #expect(host.answers.withLock { $0 } > count)
  }

  /// Each try costs a read that waits.
  @Test func aSilentHostIsAskedLessAndLess() throws {
    let seconds = Mutex<UInt64>(100)
    let own = try answer(1, from: 0)
    let host = Answerer(silence)
    let sources = AnswerSources(
      .storage, storage: Answerer(.success(own)), host: host, hasHost: true,
      tally: AnswerTally(), hostKnowsMore: { true },
      now: { seconds.withLock { $0 } * 1_000_000_000 })
    let question = MappingQuestion(
      known: own.state, found: own.state.configurationID, portions: [])
    var looks: [Int] = []
    for _ in 0..<200 {
      #expect(try sources.answer(question) == own)
      looks.append(host.looks.withLock { $0 })
      seconds.withLock { $0 += 1 }
    }
    // At 0, 5, 15, 35, 75, 135 and 195 seconds, and never for an answer, which takes longer.
    #expect(
      [4, 5, 14, 15, 34, 35, 74, 75, 134, 135, 194, 195].map { looks[$0] }
        == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7])
    #expect(host.answers.withLock { $0 } == 0)
    host.become(.success(try answer(1, from: 8)))
    #expect(sources.checkHost())
    #expect(try sources.answer(question) != own)
  }
}
