import FrozenImage
import HostSystem
import ImageReader
import Media

// A configuration ID that comes back
// ==================================
// A storage may go back in time (an array's snapshot is reverted), and the volume then
// numbers the same states again, so that the media show a known configuration ID with
// another meaning. The state's marks tell the two apart (`StateMark`). They lie elsewhere on
// the media, so looking at them costs more than the witness. It is not done at every check,
// but whenever what was seen before says nothing of now: of a state that is new, of a
// medium that was opened or took another's place, after a check that found another state,
// and when the last look is too long ago for the storage not to have been taken back
// meanwhile.

/// Looks whether media that show a known configuration ID also show the marks of its state.
final class MarkWatch: Sendable {
  /// Nanoseconds for which a look holds at least and at most: in less, no storage is taken
  /// back, mounted, and brought to the same state. In between, looks take one part in `share`
  /// of the time.
  private static let interval: UInt64 = 100_000_000
  private static let longestInterval: UInt64 = 1_000_000_000
  private static let share: UInt64 = 20

  private struct Look {
    var state: MappingState
    var incarnations: [MediumID: Incarnation]
    /// The marks that could not be read, by their places among the state's: looking at a bad
    /// place may take a minute, so it is done once.
    var unreadable: Set<Int>
    var holdsUntil: UInt64
  }

  private struct State {
    var look: Look?
    /// Counts what made looks void. Checks overlap: a look that began before says nothing.
    var voided: UInt64 = 0

    mutating func void() {
      look = nil
      voided += 1
    }
  }

  private let state = Monitor(State())

  /// Takes what a check of the witness found of a known state.
  ///
  /// - Returns: the media that are another state's, each with what it showed instead. Empty
  ///   when all is well, and when the witness is not the state's anyway.
  func strangers(
    amongst found: [WitnessFindings.Witness], of known: MappingState, in media: MediaTable
  ) -> [MediumID: MediumError] {
    guard !known.marks.isEmpty else { return [:] }
    let shown = Dictionary(found.map { ($0.medium, $0.bytes) }, uniquingKeysWith: { $1 })
    guard known.configurationID.entries.allSatisfy({ shown[$0.medium] == $0.bytes })
    else {
      state.withLock { $0.void() }
      return [:]
    }
    let open = Dictionary(
      known.marks.map { ($0.medium, media.installed($0.medium)) }, uniquingKeysWith: { $1 })
    let incarnations = open.compactMapValues { $0?.incarnation }
    let began = MonotonicClock.now()
    let (last, voided) = state.withLock { state in
      let look = state.look.flatMap { look in
        look.state == known && look.incarnations == incarnations ? look : nil
      }
      return (look, state.voided)
    }
    if let last, began < last.holdsUntil { return [:] }
    var strangers: [MediumID: MediumError] = [:]
    var unreadable = last?.unreadable ?? []
    for (number, mark) in known.marks.enumerated()
    where strangers[mark.medium] == nil && !unreadable.contains(number) {
      guard let medium = open[mark.medium]??.medium else { continue }
      switch medium.look(at: mark) {
      case .there: break
      case .unreadable: unreadable.insert(number)
      case .another(let error): strangers[mark.medium] = error
      }
    }
    let now = MonotonicClock.now()
    state.withLock { state in
      guard strangers.isEmpty else { return state.void() }
      guard state.voided == voided else { return }
      let (pause, overflow) = (now - min(began, now)).multipliedReportingOverflow(by: Self.share)
      let bounded = overflow ? Self.longestInterval : min(pause, Self.longestInterval)
      state.look = Look(
        state: known, incarnations: incarnations, unreadable: unreadable,
        holdsUntil: began + max(Self.interval, bounded))
    }
    return strangers
  }
}

/// What a medium shows where a mark should be.
private enum MarkLook {
  case there
  /// Nothing: it tells nothing then. A bad place must not cost what lies at good ones, and
  /// the other marks are looked at.
  case unreadable
  case another(MediumError)
}

extension Medium {
  fileprivate func look(at mark: StateMark) -> MarkLook {
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: mark.bytes.count, alignment: 4096)
    defer { bytes.deallocate() }
    do throws(MediumError) {
      try read(into: bytes, at: mark.offset)
    } catch {
      return .unreadable
    }
    guard !bytes.elementsEqual(mark.bytes) else { return .there }
    return .another(
      MediumError(
        path: path, offset: mark.offset,
        reason: "it shows the configuration ID that is known, and not what that state has here: "
          + "the storage was taken back to an earlier time and went on from there"))
  }
}

extension MediaTable {
  /// Takes the findings of a check as they are to be judged under a known state: a medium
  /// that shows the state's configuration ID, and is another state's, found neither.
  ///
  /// - Parameter complain: called for each such medium.
  func judge(
    _ findings: WitnessFindings, of known: MappingState, _ media: [MediumDescription],
    complain: (String) -> Void
  ) -> WitnessFindings {
    var judged = findings
    let strangers = marks.strangers(amongst: findings.witnesses, of: known, in: self)
    for (index, witness) in findings.witnesses.enumerated() {
      guard let error = strangers[witness.medium] else { continue }
      // A commit since the witness was read writes where the marks were: then the witness
      // differs by now.
      let probe = media.first { $0.id == witness.medium }?.witness
      let now = probe.flatMap { probe in
        self[witness.medium].flatMap { try? $0.extract(probe) }
      }
      var bytes = now ?? witness.bytes
      if bytes == witness.bytes {
        // No witness has this length, so it is equal to none, and nothing else of the medium
        // leaves this host.
        bytes += [0]
        complain(error.description)
      }
      judged.witnesses[index] = WitnessFindings.Witness(
        medium: witness.medium, bytes: bytes, incarnation: witness.incarnation)
    }
    return judged
  }
}
