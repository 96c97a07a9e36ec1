package import FrozenImage
import Glibc
import HostSystem
package import ImageReader
import Logging
import Synchronization

/// Whoever can answer questions about an image: the storage itself, and the production host for
/// what the storage does not tell.
package final class AnswerSources: ProductionHost {
  private let choice: AnswerChoice
  /// `nil` when the media do not tell, or are not to be asked.
  let storage: (any ProductionHost)?
  let host: any ProductionHost
  let hasHost: Bool
  let tally: AnswerTally
  let logger = Logger(label: "floe.answers")
  /// Nanoseconds for which the storage has to show that the image is gone, where the
  /// production host cannot be asked.
  let patience: UInt64
  /// Nanoseconds of a clock that never goes back.
  let now: @Sendable () -> UInt64
  let known = Mutex(Known())
  /// Is told whether the media are in doubt.
  let listener = Mutex<(@Sendable (_ isInDoubt: Bool) -> Void)?>(nil)
  /// Whether the production host knows more of where the image lies than its media show.
  let hostKnowsMore: @Sendable () -> Bool

  /// What was learned until now.
  struct Known {
    /// Why nothing is believed any more: the two did not agree.
    var dispute: String?
    /// Media that were found to be others than the production host's.
    var others: Set<MediumID> = []
    /// The media are to be compared with the production host's.
    var isComparisonDue = false
    /// The state that the storage told last.
    var state: MappingState?
    /// The production host said that the image is thawed.
    var thawed: String?
    /// When the production host was asked in vain last.
    var lastSilent: UInt64?
    /// How often in a row a better answer was asked for in vain.
    var vainCalls = 0
    var confirmation = Confirmation.unneeded
    /// Since when, and how often, the storage shows nothing but that the image is gone.
    var gone: (since: UInt64, looks: Int)?
  }

  /// - Parameters:
  ///   - hasHost: whether there is a production host that could be asked.
  ///   - patience: nanoseconds for which the storage has to show that the image is gone, where
  ///     the production host cannot be asked.
  ///   - hostKnowsMore: whether, at the last answer of the storage, the production host knew more
  ///     of where the image lies than its media show; its own answer counts then.
  ///   - now: nanoseconds of a clock that never goes back.
  package init(
    _ choice: AnswerChoice, storage: (any ProductionHost)?, host: any ProductionHost,
    hasHost: Bool, tally: AnswerTally, patience: UInt64 = 30_000_000_000,
    hostKnowsMore: @escaping @Sendable () -> Bool,
    now: @escaping @Sendable () -> UInt64 = { MonotonicClock.now() }
  ) {
    self.hostKnowsMore = hostKnowsMore
    self.choice = choice
    self.storage = choice == .host ? nil : storage
    self.host = host
    self.hasHost = hasHost
    self.tally = tally
    self.patience = patience
    self.now = now
    let canUseStorage = self.storage != nil
    tally.note { $0.canUseStorage = canUseStorage }
  }

  /// Whether the production host is told nothing by the questions of reads.
  var isHostLeftAlone: Bool { hasHost && storage != nil }

  package func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    let known = known.withLock { ($0.thawed, $0.dispute) }
    if let reason = known.0 { throw .thawed(reason) }
    if let reason = known.1 { throw .failed(reason) }
    guard let storage else { return try askHost(question) }
    // Who asks has taken the answer before.
    confirm { $0 == .given ? .unneeded : $0 }
    if let doubt { return try askHost(question, because: doubt) }
    let own: MappingAnswer
    do throws(SourceError) {
      own = try askStorage(storage, question)
      if choice == .both { try compare(own, storage, question) }
    } catch {
      return try withoutStorage(question, error)
    }
    // It came up while the storage was asked.
    if let doubt { return try askHost(question, because: doubt) }
    if let answer = try betterAnswer(question) { return answer }
    tally.note { counts in
      counts.storage += 1
      counts.problem = nil
    }
    return own
  }

  /// Times that the storage is asked again before a production host that was silent.
  private static let retries = 3
  /// Microseconds between them.
  private static let retryPause: UInt32 = 100_000

  /// Asks the storage; again when it does not tell for a moment, as in the middle of a commit,
  /// and the production host was silent a moment ago.
  private func askStorage(
    _ storage: any ProductionHost, _ question: MappingQuestion
  ) throws(SourceError) -> MappingAnswer {
    for _ in 0..<Self.retries where isHostSilent {
      do throws(SourceError) {
        return try answered(storage, question)
      } catch {
        guard case .unreachable = error else { throw error }
      }
      usleep(Self.retryPause)
    }
    return try answered(storage, question)
  }

  func answered(
    _ storage: any ProductionHost, _ question: MappingQuestion
  ) throws(SourceError) -> MappingAnswer {
    do throws(SourceError) {
      let answer = try storage.answer(question)
      known.withLock { known in
        known.gone = nil
        known.state = answer.state
      }
      return answer
    } catch {
      if case .failed = error { known.withLock { $0.gone = nil } }
      throw error
    }
  }

  /// - Parameter doubt: why the storage is not asked.
  private func askHost(
    _ question: MappingQuestion, because doubt: String
  ) throws(SourceError) -> MappingAnswer {
    do throws(SourceError) {
      return try askHost(question)
    } catch {
      guard case .unreachable(let reason) = error else { throw error }
      throw .unreachable("\(reason); the storage is not asked, as \(doubt)")
    }
  }

  func askHost(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    do throws(SourceError) {
      let answer = try host.answer(question)
      heardHost()
      confirm { $0 == .unneeded ? .unneeded : .given }
      tally.note { $0.productionHost += 1 }
      return answer
    } catch {
      note(error)
      throw error
    }
  }

  /// What the storage does not tell, the production host may know.
  private func withoutStorage(
    _ question: MappingQuestion, _ error: SourceError
  ) throws(SourceError) -> MappingAnswer {
    let known = known.withLock { ($0.thawed, $0.dispute) }
    if let reason = known.0 { throw .thawed(reason) }
    // Where the two do not agree, nobody is believed.
    if let reason = known.1 { throw .failed(reason) }
    let reason = error.reason
    let isNew = tally.counts.problem != reason
    tally.note { $0.problem = reason }
    if isNew {
      let isThawed = if case .thawed = error { true } else { false }
      logger.notice(
        isThawed
          ? "the storage shows that the image is no longer frozen: \(reason)"
          : "the storage does not tell where the image lies: \(reason)")
    }
    guard hasHost else { throw error }
    if case .unreachable = error, isHostSilent { throw error }
    do throws(SourceError) {
      return try askHost(question)
    } catch let failure {
      guard case .thawed = error else { throw failure }
      throw withoutHost(reason, failure)
    }
  }

  package func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    try host.read(inode: inode, offset: offset, into: buffer)
  }

  package func liveCheck() throws(SourceError) {
    try host.liveCheck()
  }

  package func fill() -> SnapshotFill? { host.fill() }

  /// Notes what the production host said instead of an answer.
  func note(_ error: SourceError) {
    let now = now()
    known.withLock { known in
      switch error {
      case .thawed(let reason): known.thawed = known.thawed ?? reason
      case .unreachable: known.lastSilent = now
      case .failed: known.lastSilent = nil
      }
    }
  }
}

// MARK: - Both

extension AnswerSources {
  /// Asks the production host as well, and compares what both say of one state.
  private func compare(
    _ own: MappingAnswer, _ storage: any ProductionHost, _ question: MappingQuestion
  ) throws(SourceError) {
    guard hasHost else { return }
    // Of a state that nobody knows, so that both tell all.
    let everything = MappingQuestion(known: .ofNobody, found: question.found, portions: [])
    let mine: MappingAnswer
    let others: MappingAnswer
    var isOfHost = false
    do throws(SourceError) {
      mine = try answered(storage, everything)
      isOfHost = true
      others = try host.answer(everything)
    } catch {
      if isOfHost { note(error) }
      switch error {
      case .unreachable: return
      // It became so a moment ago, and is no contradiction.
      case .thawed: throw error
      case .failed:
        logger.warning("the answers cannot be compared: \(error)")
        return
      }
    }
    tally.note { $0.productionHost += 1 }
    guard mine.state.configurationID == others.state.configurationID, let left = mine.volume,
      let right = others.volume
    else { return }
    tally.note { $0.compared += 1 }
    guard left.map.hasPlaces(of: right.map), Set(left.media.map(\.id)) == Set(right.media.map(\.id))
    else { throw differ("of the state \(mine.state.configurationID) they tell other places") }
  }

  /// From now on nothing is believed.
  private func differ(_ what: String) -> SourceError {
    let reason = "the storage and the production host do not say the same of the image: \(what)"
    let isFirst = known.withLock { known in
      defer { known.dispute = known.dispute ?? reason }
      return known.dispute == nil
    }
    if isFirst { logger.error("\(reason)") }
    tellDoubt()
    return .failed(reason)
  }
}

extension SourceError {
  var reason: String {
    switch self {
    case .unreachable(let reason), .thawed(let reason), .failed(let reason): reason
    }
  }
}
