package import FrozenImage
package import ImageReader
import Logging
import Synchronization

/// Whether this host's media are the production host's. Who answers from the media looks at those
/// that the reader has: where one is a clone that stayed behind, nothing that it shows tells so.
extension AnswerSources {
  /// Times that a medium has to show something else.
  private static let comparisons = 3

  /// Why media here were found to be others than the production host's; `nil` while they are
  /// not.
  var doubt: String? { known.withLock { $0.doubt } }

  /// Tells a reader, now and whenever it changes, whether what its media show may be believed:
  /// while it may not, no read may be accepted for it.
  package func follow(_ listener: @escaping @Sendable (_ isInDoubt: Bool) -> Void) {
    self.listener.withLock { $0 = listener }
    tellDoubt()
  }

  /// Tells the reader of the doubt as it is now.
  func tellDoubt() {
    // One after the other, so that what is told last is how it is.
    listener.withLock { listener in
      listener?(known.withLock { $0.doubt != nil || $0.dispute != nil })
    }
  }

  /// Compares the witness of each medium with what the production host reads of it. While one
  /// here shows something else, and nothing moves on it, questions go to the production host,
  /// and every read has to ask.
  ///
  /// - Returns: those media.
  /// - Throws: `SourceError` of whoever does not answer.
  @discardableResult
  package func compareMedia() throws(SourceError) -> Set<MediumID> {
    guard isHostLeftAlone, let storage else { return [] }
    var others: Set<MediumID>?
    for _ in 0..<Self.comparisons {
      let found = try otherMedia(storage)
      others = others?.intersection(found) ?? found
      if others?.isEmpty ?? true { break }
    }
    let media = others ?? []
    let reason =
      media.isEmpty
      ? nil
      : "\(media.count) of the media here do not show what the production host reads of them, and "
        + "nothing changes on them meanwhile: they are clones or replicas that stayed behind"
    let isNew = known.withLock { known in
      defer { known.doubt = reason }
      return known.doubt == nil
    }
    tellDoubt()
    if let reason, isNew {
      logger.error("\(reason); the storage is not asked any more, and every read is asked about")
    }
    return media
  }

  /// Media of which the production host sees another moment than this host, before which and
  /// after which they are the same here.
  private func otherMedia(_ storage: any ProductionHost) throws(SourceError) -> Set<MediumID> {
    let known = known.withLock { $0.state } ?? MappingState.ofNobody
    let before = try answered(storage, .since(known)).state
    let answer = try host.answer(.since(before))
    let after = try answered(storage, .since(before)).state
    // What the volume has no more, as a leg that failed, the host reads nothing of: it is no
    // clone of anything.
    return answer.behind.filter { medium in
      answer.state.configurationID[medium] != nil
        && before.configurationID[medium] == after.configurationID[medium]
    }
  }
}

extension MappingState {
  /// One that nobody knows, so that all is told.
  static let ofNobody = MappingState(configurationID: ConfigurationID(entries: []), cursor: [])
}

extension MappingQuestion {
  /// What changed since a state that the media show.
  fileprivate static func since(_ state: MappingState) -> MappingQuestion {
    MappingQuestion(known: state, found: state.configurationID, portions: [])
  }
}
