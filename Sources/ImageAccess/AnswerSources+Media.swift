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
      let (reason, isAwaited) = known.withLock { known in
        (known.dispute ?? known.doubt, known.confirmation.isAwaited)
      }
      tally.note { $0.doubt = reason }
      listener?(reason != nil || isAwaited)
    }
  }

  /// Compares the witness of each medium with what the production host reads of it. While one
  /// here shows something else, and nothing moves on it, questions go to the production host,
  /// and every read has to ask.
  ///
  /// A medium that was found to be another stays so until the production host has it, and calls
  /// it right each time: that it moved meanwhile, or that the host does not have it now, says
  /// nothing.
  ///
  /// - Returns: the media that are others.
  /// - Throws: `SourceError` of whoever does not answer.
  @discardableResult
  package func compareMedia() throws(SourceError) -> Set<MediumID> {
    guard isHostLeftAlone, let storage else { return [] }
    var comparison = try compareOnce(storage)
    for _ in 1..<Self.comparisons where !comparison.isEmpty {
      comparison.formIntersection(try compareOnce(storage))
    }
    let (media, isNew) = known.withLock { known in
      let wasEmpty = known.others.isEmpty
      known.others = known.others.subtracting(comparison.right).union(comparison.others)
      return (known.others, wasEmpty && !known.others.isEmpty)
    }
    tellDoubt()
    if isNew, let doubt {
      logger.error("\(doubt); the storage is not asked any more, and every read is asked about")
    }
    return media
  }

  /// What comparisons found of the media.
  private struct Comparison {
    /// Of which the production host sees another moment than this host, before which and after
    /// which they are the same here.
    var others: Set<MediumID>
    /// Which the production host has, and sees as this host does.
    var right: Set<MediumID>

    var isEmpty: Bool { others.isEmpty && right.isEmpty }

    mutating func formIntersection(_ next: Comparison) {
      others.formIntersection(next.others)
      right.formIntersection(next.right)
    }
  }

  private func compareOnce(_ storage: any ProductionHost) throws(SourceError) -> Comparison {
    let (known, doubted) = known.withLock { ($0.state ?? .ofNobody, $0.others) }
    let own = try answered(storage, .since(known))
    let before = own.state
    let answer = try host.answer(.since(before))
    let after = try answered(storage, .since(before)).state
    // What the volume has no more, as a leg that failed, the host reads nothing of: it is no
    // clone of anything.
    let others = answer.behind.filter { medium in
      answer.state.configurationID[medium] != nil && !own.seesMore(of: medium, than: answer)
        && before.configurationID[medium] == after.configurationID[medium]
    }
    let right = doubted.filter { medium in
      answer.state.configurationID[medium] != nil && !answer.behind.contains(medium)
        && before.configurationID[medium] != nil
    }
    return Comparison(others: others, right: right)
  }
}

extension MappingAnswer {
  /// Whether another answer looks at a part of what this one does of a medium, and finds the same
  /// there: so it is where the kernel of the production host alone left out a leg of an array,
  /// and no longer looks at the witness of what lies on it. A clone shows other bytes.
  fileprivate func seesMore(of medium: MediumID, than other: MappingAnswer) -> Bool {
    guard let own = witness(of: medium), let others = other.witness(of: medium),
      others.count < own.count
    else { return false }
    return others.allSatisfy { own[$0.key] == $0.value }
  }

  /// The bytes of a medium's witness, by their places on the medium; `nil` when the answer does
  /// not tell where it lies.
  private func witness(of medium: MediumID) -> [UInt64: UInt8]? {
    guard let probe = volume?.media.first(where: { $0.id == medium })?.witness,
      let bytes = state.configurationID[medium], bytes.count == probe.byteCount
    else { return nil }
    let places = probe.windows.flatMap { window in
      window.fragments.flatMap { fragment in
        (fragment.offset..<fragment.offset + fragment.length).map { window.offset + UInt64($0) }
      }
    }
    return Dictionary(zip(places, bytes)) { first, _ in first }
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

extension AnswerSources.Known {
  /// Why the storage is not asked: its media are not the production host's.
  var doubt: String? {
    others.isEmpty
      ? nil
      : "\(others.count) of the media here do not show what the production host reads of them, "
        + "and nothing changes on them meanwhile: they are clones or replicas that stayed behind"
  }
}
