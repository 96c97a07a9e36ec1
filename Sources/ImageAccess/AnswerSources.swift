package import FrozenImage
package import ImageReader
import Logging
import Synchronization

/// Whoever can answer questions about an image: the storage itself, and the production host for
/// what the storage does not tell.
package final class AnswerSources: ProductionHost {
  private let choice: AnswerChoice
  /// `nil` when the media do not tell, or are not to be asked.
  private let storage: (any ProductionHost)?
  private let host: any ProductionHost
  private let hasHost: Bool
  private let tally: AnswerTally
  private let logger = Logger(label: "floe.answers")
  /// Why nothing is believed any more: the two did not agree.
  private let dispute = Mutex<String?>(nil)

  /// - Parameters:
  ///   - hasHost: whether there is a production host that could be asked.
  package init(
    _ choice: AnswerChoice, storage: (any ProductionHost)?, host: any ProductionHost,
    hasHost: Bool, tally: AnswerTally
  ) {
    self.choice = choice
    self.storage = choice == .host ? nil : storage
    self.host = host
    self.hasHost = hasHost
    self.tally = tally
    let canUseStorage = self.storage != nil
    tally.note { $0.canUseStorage = canUseStorage }
  }

  package func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    if let reason = dispute.withLock({ $0 }) { throw .failed(reason) }
    guard let storage else { return try askHost(question) }
    let own: MappingAnswer
    do throws(SourceError) {
      own = try storage.answer(question)
    } catch {
      return try withoutStorage(question, error)
    }
    tally.note { counts in
      counts.storage += 1
      counts.problem = nil
    }
    if choice == .both { try compare(own, storage, question) }
    return own
  }

  private func askHost(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    let answer = try host.answer(question)
    tally.note { $0.productionHost += 1 }
    return answer
  }

  /// What the storage does not tell, the production host may know.
  private func withoutStorage(
    _ question: MappingQuestion, _ error: SourceError
  ) throws(SourceError) -> MappingAnswer {
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
    do throws(SourceError) {
      let answer = try askHost(question)
      // The media of this host may be behind, as a replica is; the production host sees that.
      guard case .thawed = error, choice == .both else { return answer }
    } catch let failure {
      // What the storage shows is true while nobody knows better.
      if case .thawed = error { throw error }
      throw failure
    }
    throw differ("the storage shows that it is thawed (\(reason)), the production host not")
  }

  package func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    try host.read(inode: inode, offset: offset, into: buffer)
  }

  package func liveCheck() throws(SourceError) {
    try host.liveCheck()
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
    let nothing = MappingState(configurationID: ConfigurationID(entries: []), cursor: [])
    let everything = MappingQuestion(known: nothing, found: question.found, portions: [])
    let mine: MappingAnswer
    let others: MappingAnswer
    do throws(SourceError) {
      mine = try storage.answer(everything)
      others = try host.answer(everything)
    } catch {
      if case .unreachable = error { return }
      guard case .thawed(let reason) = error else {
        logger.warning("the answers cannot be compared: \(error)")
        return
      }
      throw differ("one of them says that it is thawed: \(reason)")
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
    let isFirst = dispute.withLock { dispute in
      defer { dispute = dispute ?? reason }
      return dispute == nil
    }
    if isFirst { logger.error("\(reason)") }
    return .failed(reason)
  }
}

extension SourceError {
  fileprivate var reason: String {
    switch self {
    case .unreachable(let reason), .thawed(let reason), .failed(let reason): reason
    }
  }
}
