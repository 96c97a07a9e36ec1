import FrozenImage
import ImageReader
import Synchronization
import Testing

@testable import ImageAccess

/// Who is believed when one of those who answer says that the image is gone.
@Suite struct ThawAnswersTests {
  private typealias Outcome = Result<MappingAnswer, SourceError>

  /// Says what it is told to.
  private final class Answerer: ProductionHost {
    let outcomes: Mutex<[Outcome]>
    let asked = Mutex(0)

    /// - Parameter outcomes: in turn, the last one for ever.
    init(_ outcomes: Outcome...) { self.outcomes = Mutex(outcomes) }

    func become(_ outcome: Outcome) { outcomes.withLock { $0 = [outcome] } }

    private func next() throws(SourceError) -> MappingAnswer {
      asked.withLock { $0 += 1 }
      return try outcomes.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }.get()
    }

    func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer { try next() }

    func read(
      inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) -> Int { 0 }

    func liveCheck() throws(SourceError) { _ = try next() }
  }

  private static let state = MappingState(
    configurationID: ConfigurationID(entries: []), cursor: [])
  private let question = MappingQuestion(
    known: state, found: state.configurationID, portions: [])
  private let fine: Outcome = .success(
    MappingAnswer(state: state, changes: .ranges([]), volume: nil, behind: [], located: []))
  private let gone: Outcome = .failure(.thawed("it was removed"))
  private let silence: Outcome = .failure(.unreachable("it is off"))

  private final class Time: Sendable {
    let seconds = Mutex<UInt64>(100)
    func pass(_ count: UInt64) { seconds.withLock { $0 += count } }
  }

  private let time = Time()

  private func sources(
    _ storage: Answerer, _ host: Answerer, _ choice: AnswerChoice = .storage, hasHost: Bool = true
  ) -> AnswerSources {
    AnswerSources(
      choice, storage: storage, host: host, hasHost: hasHost, tally: AnswerTally(),
      patience: 30_000_000_000, hostKnowsMore: { false },
      now: { [time] in time.seconds.withLock { $0 } * 1_000_000_000 })
  }

  private func failure(_ sources: AnswerSources) -> SourceError? {
    do throws(SourceError) {
      _ = try sources.answer(question)
      return nil
    } catch {
      return error
    }
  }

  @Test func theStorageAloneIsBelieved() {
    let sources = sources(Answerer(gone), Answerer(silence), hasHost: false)
    #expect(failure(sources) == .thawed("it was removed"))
  }

  /// What this host has may be a replica that lags behind.
  @Test func theStorageIsBelievedOnlyOnceItStaysSo() {
    let (storage, host) = (Answerer(gone), Answerer(silence))
    let sources = sources(storage, host)
    func isUnreachable() -> Bool {
      if case .unreachable? = failure(sources) { true } else { false }
    }
    for _ in 0..<4 { #expect(isUnreachable()) }
    time.pass(29)
    #expect(isUnreachable())
    // It was a moment only.
    storage.become(fine)
    #expect(failure(sources) == nil)
    storage.become(gone)
    time.pass(20)
    for _ in 0..<2 { #expect(isUnreachable()) }
    time.pass(30)
    #expect(failure(sources) == .thawed("it was removed"))
  }

  /// A host that is busy says so, and does not confirm anything.
  @Test func aHostThatFailsConfirmsNothing() {
    let host = Answerer(.failure(.failed("it is busy")))
    let sources = sources(Answerer(gone), host)
    for _ in 0..<5 {
      guard case .unreachable(let reason)? = failure(sources) else {
        Issue.record("it was concluded")
        return
      }
      #expect(reason.contains("it was removed") && reason.contains("it is busy"))
      time.pass(60)
    }
    host.become(.failure(.thawed("it is gone")))
    #expect(failure(sources) == .thawed("it is gone"))
    // Nobody takes that back.
    host.become(fine)
    #expect(failure(sources) == .thawed("it is gone"))
  }

  /// What the media do not show: the owner thawed an image at rest.
  @Test func aThawReachesAMountWhoseQuestionsTheStorageAnswers() {
    let host = Answerer(fine)
    let sources = sources(Answerer(fine), host)
    #expect(sources.isHostLeftAlone && sources.checkHost())
    #expect(failure(sources) == nil)
    host.become(silence)
    #expect(sources.checkHost())
    #expect(failure(sources) == nil)
    host.become(.failure(.thawed("somebody thawed it")))
    #expect(!sources.checkHost())
    #expect(failure(sources) == .thawed("somebody thawed it"))
  }

  /// With both asked, a thaw is an event and no contradiction.
  @Test func aThawIsNoDispute() {
    let first = sources(Answerer(fine, gone), Answerer(gone), .both)
    #expect(failure(first) == .thawed("it was removed"))
    let second = sources(Answerer(fine), Answerer(gone), .both)
    for _ in 0..<2 { #expect(failure(second) == .thawed("it was removed")) }
    // A replica that lags behind.
    let storage = Answerer(gone)
    let third = sources(storage, Answerer(fine), .both)
    #expect(failure(third) == nil)
    storage.become(fine)
    #expect(failure(third) == nil)
  }

  /// A clone that stayed behind shows what it always did, and the production host's medium does
  /// not.
  @Test func aMediumThatIsNotTheHostsIsNotAnsweredFrom() throws {
    let medium = MediumID(rawValue: UniqueIdentifier(high: 0, low: 1))
    func told(_ witness: UInt8, behind: Set<MediumID> = []) -> Outcome {
      let id = ConfigurationID(entries: [.init(medium: medium, bytes: [witness])])
      return .success(
        MappingAnswer(
          state: MappingState(configurationID: id, cursor: []), changes: .ranges([]),
          volume: nil, behind: behind, located: []))
    }
    let (storage, host) = (Answerer(told(1)), Answerer(told(2, behind: [medium])))
    let sources = sources(storage, host)
    // What the reader is told, whose witness such a medium shows as well.
    let doubts = Mutex<[Bool]>([])
    sources.follow { isInDoubt in doubts.withLock { $0.append(isInDoubt) } }
    #expect(sources.checkHost(comparing: true))
    #expect(doubts.withLock { $0 } == [false, true])
    #expect(try sources.answer(question) == host.outcomes.withLock { try $0[0].get() })
    host.become(silence)
    guard case .unreachable(let reason)? = failure(sources) else {
      Issue.record("it was answered")
      return
    }
    #expect(reason.hasPrefix("it is off") && reason.contains("clones or replicas"), "\(reason)")
    // Who cannot be asked takes nothing back.
    #expect(sources.checkHost(comparing: true) && doubts.withLock { $0.last } == true)
    // It was replaced by the right one.
    host.become(told(2))
    #expect(sources.checkHost(comparing: true))
    #expect(doubts.withLock { $0.last } == false)
    #expect(try sources.answer(question) == storage.outcomes.withLock { try $0[0].get() })
    // One that moves here, too, is of another moment, and no clone.
    let moving = Answerer(told(1), told(2), told(3), told(4), told(5), told(6), told(7))
    let second = self.sources(moving, Answerer(told(9, behind: [medium])))
    #expect(try second.compareMedia().isEmpty)
    // Who is not there says nothing of it.
    let third = self.sources(Answerer(told(1)), Answerer(silence))
    #expect(third.checkHost(comparing: true) && third.doubt == nil)
    #expect(failure(third) == nil)
  }

  /// What moves here, or is not there for a moment, was not shown to be the right one.
  @Test func aDoubtEndsOnlyWhereTheHostSaysSo() throws {
    let medium = MediumID(rawValue: UniqueIdentifier(high: 0, low: 1))
    func told(_ witness: UInt8?, behind: Set<MediumID> = []) -> Outcome {
      let entries = witness.map { [ConfigurationID.Entry(medium: medium, bytes: [$0])] } ?? []
      return .success(
        MappingAnswer(
          state: MappingState(configurationID: ConfigurationID(entries: entries), cursor: []),
          changes: .ranges([]), volume: nil, behind: behind, located: []))
    }
    let storage = Answerer(told(1))
    let host = Answerer(told(2, behind: [medium]))
    let sources = sources(storage, host)
    #expect(sources.tally.counts.doubt == nil)
    #expect(try sources.compareMedia() == [medium])
    #expect(sources.tally.counts.doubt?.contains("clones or replicas") == true)
    // It moves while it is doubted, and the production host still sees another.
    storage.outcomes.withLock { $0 = (3...9).map { told($0) } }
    #expect(try sources.compareMedia() == [medium] && sources.doubt != nil)
    // The production host does not have it, and so does not call it anything.
    for answer in [told(nil), told(nil, behind: [medium])] {
      host.become(answer)
      #expect(try sources.compareMedia() == [medium] && sources.doubt != nil)
    }
    // It calls it right, but not each time.
    host.outcomes.withLock { $0 = [told(9), told(9), told(9, behind: [medium])] }
    #expect(try sources.compareMedia() == [medium])
    host.become(told(9))
    #expect(try sources.compareMedia().isEmpty && sources.doubt == nil)
    #expect(sources.tally.counts.doubt == nil)
  }

  /// A mount outlives many a minute in which the production host is silent.
  @Test func aComparisonIsMadeOnceItCanBe() throws {
    let medium = MediumID(rawValue: UniqueIdentifier(high: 0, low: 1))
    let id = ConfigurationID(entries: [.init(medium: medium, bytes: [1])])
    func told(behind: Set<MediumID>) -> Outcome {
      .success(
        MappingAnswer(
          state: MappingState(configurationID: id, cursor: []), changes: .ranges([]),
          volume: nil, behind: behind, located: []))
    }
    let (storage, host) = (Answerer(told(behind: [])), Answerer(silence))
    let sources = sources(storage, host)
    #expect(sources.checkHost(comparing: true) && sources.doubt == nil)
    host.become(told(behind: [medium]))
    storage.become(silence)
    #expect(sources.checkHost() && sources.doubt == nil)
    storage.become(told(behind: []))
    #expect(sources.checkHost() && sources.doubt != nil)
    // Not more often than that.
    host.become(told(behind: []))
    #expect(sources.checkHost() && sources.doubt != nil)
    #expect(sources.checkHost(comparing: true) && sources.doubt == nil)
  }

  /// A leg of an array that failed is still seen here, and shows what it showed then.
  @Test func aMediumThatTheVolumeHasNoMoreIsNoClone() throws {
    let ids = (1...2).map { MediumID(rawValue: UniqueIdentifier(high: 0, low: $0)) }
    func told(_ shown: [UInt8], behind: Set<MediumID> = []) -> Outcome {
      let entries = zip(ids, shown).map { ConfigurationID.Entry(medium: $0, bytes: [$1]) }
      return .success(
        MappingAnswer(
          state: MappingState(configurationID: ConfigurationID(entries: entries), cursor: []),
          changes: .ranges([]), volume: nil, behind: behind, located: []))
    }
    let sources = sources(Answerer(told([2, 1])), Answerer(told([2], behind: [ids[1]])))
    #expect(try sources.compareMedia().isEmpty)
    #expect(sources.doubt == nil)
    // One that it has is one.
    let clone = self.sources(Answerer(told([2, 1])), Answerer(told([2, 2], behind: [ids[1]])))
    #expect(try clone.compareMedia() == [ids[1]])
  }

  /// The witness of a file system on an array lies on each leg; where the kernel of the production
  /// host left one out, that host looks at less of the disk.
  @Test func whatIsLookedAtElsewhereIsNoClone() throws {
    let medium = MediumID(rawValue: UniqueIdentifier(high: 0, low: 1))
    func told(_ witness: [UInt8], behind: Set<MediumID> = []) throws -> Outcome {
      let length = witness.count
      let probe = try #require(
        Probe(offset: 0, length: length, fragments: [.init(offset: 0, length: length)]))
      let description = MediumDescription(
        id: medium, label: "disk", size: 1 << 20, path: "", hardwareID: "", identity: probe,
        identityBytes: witness, witness: probe)
      let id = ConfigurationID(entries: [.init(medium: medium, bytes: witness)])
      let map = try StoreMap(stores: [StoreID(rawValue: 0): .physical(medium)], extents: [:])
      return .success(
        MappingAnswer(
          state: MappingState(configurationID: id, cursor: []), changes: .ranges([]),
          volume: MappingAnswer.Volume(map: map, media: [description]), behind: behind,
          located: []))
    }
    let left = try sources(Answerer(told([1, 2])), Answerer(told([1], behind: [medium])))
    #expect(try left.compareMedia().isEmpty && left.doubt == nil)
    // At one place they see two media.
    for seen: [UInt8] in [[1, 3], [3], [1, 2, 3]] {
      let clone = try sources(Answerer(told([1, 2])), Answerer(told(seen, behind: [medium])))
      #expect(try clone.compareMedia() == [medium])
    }
  }

  @Test func theStorageIsAskedAgainBeforeASilentHost() {
    let storage = Answerer(.failure(.unreachable("a commit is running")))
    let host = Answerer(silence)
    let sources = sources(storage, host)
    #expect(failure(sources) == .unreachable("it is off"))
    #expect(host.asked.withLock { $0 } == 1)
    #expect(failure(sources) == .unreachable("a commit is running"))
    #expect(host.asked.withLock { $0 } == 1)
    storage.outcomes.withLock { $0 = [.failure(.unreachable("a commit is running")), fine] }
    #expect(failure(sources) == nil)
    time.pass(5)
    storage.become(.failure(.unreachable("a commit is running")))
    #expect(failure(sources) == .unreachable("it is off"))
    #expect(host.asked.withLock { $0 } == 2)
  }
}
