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
// When one of these fails, the rule takes the read over (`takeOver`). While the epoch has not
// ended, nothing has overtaken it, and it goes on with its bytes as if it had been registered
// all the time; otherwise it begins again.

/// What a reader may use without the rule's lock: what the rule knew from one moment on.
public final class Epoch: Sendable {
  /// Counts the epochs of a rule; a later one has a greater number.
  public let number: UInt64
  /// The known state of the mapping.
  public let known: MappingState
  /// The media, under that state.
  public let media: [MediumDescription]
  /// Most runs of file bytes that an epoch keeps, which the rule has to copy when an answer
  /// changes them while a read looks at them.
  static let mostThatIsKept = 16_384
  private let map: StoreMap
  private let mapIsNew: Bool
  private let overlay: Overlay
  private let incarnations: Incarnations

  /// What a rule knows now.
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
    guard !used.isEmpty, incarnations.include(used), findings.unreadable.isEmpty,
      used.keys.allSatisfy({ known.configurationID[$0] != nil })
    else { return false }
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
  /// medium is lost or in doubt, the image is gone, the media prove nothing, or much has moved.
  public var epoch: Epoch? {
    guard thawed == nil, validation == .witness, !isInDoubt, lost.isEmpty,
      overlay.count <= Epoch.mostThatIsKept
    else { return nil }
    return Epoch(of: self)
  }

  /// Takes over a read that was planned and fetched in an epoch, and was not proved there.
  ///
  /// - Parameter incarnations: the incarnation of each medium that was read from.
  public mutating func takeOver(
    _ portion: Portion, content: PortionContent, _ plan: ReadPlan, _ outcome: FetchOutcome,
    from incarnations: [MediumID: Incarnation], in epoch: Epoch
  ) -> PortionRead {
    var read = begin(portion, content: content)
    if case .sourceFailed = outcome { return read }
    guard epoch.number == epochNumber else {
      statistics.discardedReads += 1
      read.patience.addVainAttempt()
      return read
    }
    lastReadID += 1
    underWay[lastReadID] = Registration(keys: portion.keys, plan: plan)
    read.lastPlace = plan.firstPlace
    read.phase = .checking(
      PortionRead.Bytes(
        id: lastReadID, plan: plan, outcome: outcome, incarnations: incarnations),
      ticket: witness.checks.nextTicket)
    return read
  }

  /// Takes that a check which is not one of the rule's rounds could not read the witness of
  /// some media: nothing is read from them until a round has found it.
  public mutating func lose(_ media: Set<MediumID>) {
    witness.lose(media)
    endEpoch()
  }

  /// What was known until now proves nothing for a read that is under way without the lock.
  mutating func endEpoch() {
    epochNumber += 1
  }
}
