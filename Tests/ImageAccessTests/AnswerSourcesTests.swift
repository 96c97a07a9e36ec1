import FrozenImage
import ImageReader
import Synchronization
import Testing

@testable import ImageAccess

/// Who answers: the storage, the production host, or both.
@Suite struct AnswerSourcesTests {
  /// Answers as it is told.
  private final class Answerer: ProductionHost {
    private let outcome: Mutex<Result<MappingAnswer, SourceError>>
    private let asked = Mutex(0)
    var questions: Int { asked.withLock { $0 } }

    init(_ outcome: Result<MappingAnswer, SourceError>) { self.outcome = Mutex(outcome) }

    func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
      asked.withLock { $0 += 1 }
      return try outcome.withLock { $0 }.get()
    }

    func read(
      inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) -> Int { 7 }

    func liveCheck() throws(SourceError) { _ = try outcome.withLock { $0 }.get() }
  }

  private static let medium = MediumID(rawValue: UniqueIdentifier(high: 0, low: 1))

  /// - Parameters:
  ///   - witness: what the medium shows.
  ///   - pieces: where the volume lies, 4096 bytes each.
  private func answer(_ witness: UInt8, _ pieces: [UInt64]) throws -> MappingAnswer {
    let stores: [StoreID: Store] = [
      StoreID(rawValue: 0): .logical(label: "top"), StoreID(rawValue: 1): .physical(Self.medium),
    ]
    let extents = try pieces.enumerated().map { index, place in
      try StoreExtent.linear(
        offset: UInt64(index) * 4096, length: 4096,
        target: StoreAddress(store: StoreID(rawValue: 1), offset: place))
    }
    let probe = try #require(Probe(offset: 0, length: 1, fragments: [.init(offset: 0, length: 1)]))
    let id = ConfigurationID(entries: [.init(medium: Self.medium, bytes: [witness])])
    return MappingAnswer(
      state: MappingState(configurationID: id, cursor: []), changes: .ranges([]),
      volume: MappingAnswer.Volume(
        map: try StoreMap(stores: stores, extents: [StoreID(rawValue: 0): extents]),
        media: [
          MediumDescription(
            id: Self.medium, label: "disk", size: 1 << 20, path: "/dev/sda", hardwareID: "",
            identity: probe, identityBytes: [1], witness: probe)
        ]), behind: [], located: [])
  }

  private let question = MappingQuestion(
    known: MappingState(configurationID: ConfigurationID(entries: []), cursor: []),
    found: ConfigurationID(entries: []), portions: [])

  private struct Asked {
    let sources: AnswerSources
    let storage: Answerer
    let host: Answerer
    let tally: AnswerTally
  }

  private func sources(
    _ choice: AnswerChoice, storage: Result<MappingAnswer, SourceError>,
    host: Result<MappingAnswer, SourceError>, hasHost: Bool = true,
    hostKnowsMore: Bool = false
  ) -> Asked {
    let (storage, host, tally) = (Answerer(storage), Answerer(host), AnswerTally())
    return Asked(
      sources: AnswerSources(
        choice, storage: storage, host: host, hasHost: hasHost, tally: tally,
        hostKnowsMore: { hostKnowsMore }),
      storage: storage, host: host, tally: tally)
  }

  private let silence: Result<MappingAnswer, SourceError> = .failure(.unreachable("it is off"))

  @Test func theStorageIsAskedFirst() throws {
    let own = try answer(1, [0])
    let asked = sources(.storage, storage: .success(own), host: silence)
    #expect(try asked.sources.answer(question) == own)
    #expect(asked.host.questions == 0)
    #expect(asked.tally.counts.storage == 1 && asked.tally.counts.productionHost == 0)
    // Bytes come from the production host alone.
    var bytes: [UInt8] = [0]
    let count = try bytes.withUnsafeMutableBytes {
      try asked.sources.read(inode: 1, offset: 0, into: $0)
    }
    #expect(count == 7)
  }

  @Test func whatTheStorageDoesNotTellTheHostIsAsked() throws {
    let other = try answer(1, [0])
    let asked = sources(.storage, storage: .failure(.failed("who knows")), host: .success(other))
    #expect(try asked.sources.answer(question) == other)
    #expect(asked.tally.counts.productionHost == 1)
    #expect(asked.tally.counts.problem == "who knows")
    let alone = sources(
      .storage, storage: .failure(.failed("who knows")), host: silence, hasHost: false)
    #expect(throws: SourceError.failed("who knows")) { try alone.sources.answer(question) }
  }

  /// Legs of a raid that only the kernel of the production host left out.
  @Test func whatTheHostKnowsBetterItIsAsked() throws {
    let (own, other) = (try answer(1, [0]), try answer(1, [8192]))
    let asked = sources(
      .storage, storage: .success(own), host: .success(other), hostKnowsMore: true)
    #expect(try asked.sources.answer(question) == other)
    #expect(asked.tally.counts.productionHost == 1 && asked.tally.counts.storage == 0)
    // What it refuses is not believed of the media, and who is not there refuses nothing.
    let refused = sources(
      .storage, storage: .success(own), host: .failure(.failed("no leg")), hostKnowsMore: true)
    #expect(throws: SourceError.failed("no leg")) { try refused.sources.answer(question) }
    let dead = sources(.storage, storage: .success(own), host: silence, hostKnowsMore: true)
    for _ in 0..<2 { #expect(try dead.sources.answer(question) == own) }
    // That it is there is asked first: it says so sooner.
    #expect(dead.host.questions == 0)
    let alone = sources(
      .storage, storage: .success(own), host: .success(other), hasHost: false,
      hostKnowsMore: true)
    #expect(try alone.sources.answer(question) == own)
  }

  @Test func theHostAloneIsAskedWhereThatIsWanted() throws {
    let other = try answer(1, [0])
    let asked = sources(.host, storage: .success(try answer(1, [8192])), host: .success(other))
    #expect(try asked.sources.answer(question) == other)
    #expect(asked.storage.questions == 0)
  }

  /// A replica that lags behind shows no image yet; who froze it knows better.
  @Test func aThawIsBelievedOnlyWhereNobodyKnowsBetter() throws {
    let other = try answer(1, [0])
    let gone: Result<MappingAnswer, SourceError> = .failure(.thawed("it was removed"))
    let asked = sources(.storage, storage: gone, host: .success(other))
    #expect(try asked.sources.answer(question) == other)
    let alone = sources(.storage, storage: gone, host: silence, hasHost: false)
    #expect(throws: SourceError.thawed("it was removed")) { try alone.sources.answer(question) }
  }

  @Test func equalAnswersPass() throws {
    // Whatever pieces they tell of.
    let own = try answer(1, [0, 4096, 65536])
    let asked = sources(.both, storage: .success(own), host: .success(own))
    for _ in 0..<3 { #expect(try asked.sources.answer(question) == own) }
    #expect(asked.tally.counts.compared == 3)
  }

  @Test func answersThatDifferEndEveryRead() throws {
    let own = try answer(1, [0, 4096])
    let differing: [Result<MappingAnswer, SourceError>] = [
      .success(try answer(1, [0, 8192])), .success(try answer(1, [0])),
    ]
    for other in differing {
      let asked = sources(.both, storage: .success(own), host: other)
      let isInDoubt = Mutex(false)
      asked.sources.follow { doubt in isInDoubt.withLock { $0 = doubt } }
      for _ in 0..<2 {
        let error = #expect(throws: SourceError.self) { try asked.sources.answer(question) }
        #expect(error?.description.contains("do not say the same") == true, "\(other)")
        // Of reads that ask nobody as well.
        #expect(isInDoubt.withLock { $0 })
        #expect(asked.tally.counts.doubt?.contains("do not say the same") == true)
      }
    }
  }

  /// Two states have two maps.
  @Test func answersOfOtherStatesAreNotCompared() throws {
    let own = try answer(1, [0])
    let asked = sources(.both, storage: .success(own), host: .success(try answer(2, [8192])))
    #expect(try asked.sources.answer(question) == own)
    #expect(asked.tally.counts.compared == 0)
  }

  @Test func placesCountAndNotPieces() throws {
    func map(_ lengths: [UInt64], at start: UInt64) throws -> StoreMap {
      var offset: UInt64 = 0
      let extents = try lengths.map { length in
        defer { offset += length }
        return try StoreExtent.linear(
          offset: offset, length: length,
          target: StoreAddress(store: StoreID(rawValue: 1), offset: start + offset))
      }
      return try StoreMap(
        stores: [
          StoreID(rawValue: 0): .logical(label: "\(lengths)"),
          StoreID(rawValue: 1): .physical(Self.medium),
        ], extents: [StoreID(rawValue: 0): extents])
    }
    #expect(try map([4096, 4096], at: 0).hasPlaces(of: map([8192], at: 0)))
    #expect(try !map([4096, 4096], at: 0).hasPlaces(of: map([8192], at: 512)))
    #expect(try !map([4096, 4096], at: 0).hasPlaces(of: map([8192, 512], at: 0)))
  }
}
