package import FrozenImage
package import ImageReader
import Logging
import Synchronization

/// Whether this host's media are the production host's. Who answers from the media looks at those
/// that the reader has: where one is a clone that stayed behind, nothing that it shows tells so.
extension AnswerSources {
  /// Times that a medium has to show something else.
  private static let comparisons = 3

  /// Whether a medium here was found to be another than the production host's.
  var hasDoubt: Bool { known.withLock { $0.doubt != nil } }

  /// Compares the witness of each medium with what the production host reads of it. While one
  /// here shows something else, and nothing moves on it, questions go to the production host.
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
    if let reason, isNew { logger.error("\(reason); the storage is not asked any more") }
    return media
  }

  /// Media of which the production host sees another moment than this host, before which and
  /// after which they are the same here.
  private func otherMedia(_ storage: any ProductionHost) throws(SourceError) -> Set<MediumID> {
    let known = known.withLock { $0.state } ?? MappingState.ofNobody
    let before = try answered(storage, .since(known)).state
    let behind = try host.answer(.since(before)).behind
    let after = try answered(storage, .since(before)).state
    return behind.filter { medium in
      before.configurationID[medium] == after.configurationID[medium]
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
