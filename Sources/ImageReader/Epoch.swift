public import FrozenImage

// Reading without the rule's lock
// ===============================
// While nothing moves, a read needs nothing of what reads share but the known state, and that
// it stayed the known state until the read was over. An epoch is that state, as it was from
// one moment on. A driver plans a read in it, fetches the bytes, then begins a check of its
// own, and then looks whether the epoch is still the current one. What it has then is what
// condition (a) asks for (see ReadRule.swift):
//   - the check began after the last byte, and found the epoch's configuration ID, under
//     which the plan was valid (`confirms`);
//   - the bytes and the witness come from the incarnations that were installed in the epoch;
//   - no answer, no new incarnation and no loss came between, as each of them ends the epoch
//     in the critical section in which the rule takes it. A read under the lock would not
//     have been overtaken, and its check would have been held against the same known state.
// When one of these fails, nothing is known of the bytes, and the read begins again by the
// rule, which learns what has happened.

/// What a reader may use without the rule's lock: what the rule knew from one moment on.
public final class Epoch: Sendable {
  /// Counts the epochs of a rule; a later one has a greater number.
  public let number: UInt64
  /// The known state of the mapping.
  public let known: MappingState
  /// The media, under that state.
  public let media: [MediumDescription]
  private let map: StoreMap
  private let mapIsNew: Bool
  private let overlay: Overlay
  private let incarnations: Incarnations

  package init(of rule: ReadRule) {
    number = rule.epochNumber
    known = rule.known
    media = rule.media
    map = rule.map
    mapIsNew = rule.mapIsNew
    overlay = rule.overlay
    incarnations = rule.witness.incarnations
  }

  /// Where a portion lies; `nil` when that is not known, or when a part of it is not on the
  /// media: then the rule has to be followed.
  public func plan(_ portion: Portion, content: PortionContent) -> ReadPlan? {
    var planner = Planner(
      portion: portion, content: content, map: map, lost: [], mapIsNew: mapIsNew)
    guard let plan = planner.plan(with: overlay), plan.readsMedia, !plan.needsProductionHost,
      plan.firstUnreadable == nil
    else { return nil }
    return plan
  }

  /// Whether a check that began after the last byte of a read proves the bytes, if the epoch
  /// is still the current one after it.
  ///
  /// - Parameter used: the incarnation of each medium that the bytes came from.
  public func confirms(
    _ findings: WitnessFindings, of used: [MediumID: Incarnation]
  ) -> Bool {
    guard !used.isEmpty, incarnations.include(used), findings.unreadable.isEmpty else {
      return false
    }
    // Every medium of the state is looked at: one alone may be behind the others.
    for witness in findings.witnesses
    where incarnations[witness.medium] != witness.incarnation {
      return false
    }
    return known.configurationID.entries.allSatisfy { entry in
      findings.witnesses.contains { $0.medium == entry.medium && $0.bytes == entry.bytes }
    }
  }
}

extension ReadRule {
  /// What reads may use without the lock now; `nil` while they cannot do without the rule: a
  /// medium is lost, the image is gone, or the media prove nothing.
  public var epoch: Epoch? {
    guard thawed == nil, validation == .witness, lost.isEmpty else { return nil }
    return Epoch(of: self)
  }

  /// Begins a read whose bytes an epoch did not prove, so that they were thrown away.
  public mutating func beginAgain(_ portion: Portion, content: PortionContent) -> PortionRead {
    statistics.discardedReads += 1
    var read = begin(portion, content: content)
    read.patience.addVainAttempt()
    return read
  }

  /// What was known until now proves nothing for a read that is under way without the lock.
  mutating func endEpoch() {
    epochNumber += 1
  }
}
