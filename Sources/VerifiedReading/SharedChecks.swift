import FrozenImage
import HostSystem
import ImageReader
import Synchronization

/// Witness checks of reads that follow no rule's lock: where a check takes long, one serves
/// everybody whose last byte was read before it began; where it is shorter than it takes to
/// wake somebody, each read makes its own.
final class SharedChecks: Sendable {
  private struct Round {
    var number: UInt64 = 0
    /// The number of the epoch that it was made in.
    var epoch: UInt64 = 0
    var findings = WitnessFindings()
  }

  private struct State {
    var begun: UInt64 = 0
    /// When the last round began.
    var time: UInt64 = 0
    /// The last one that has finished; no other is remembered, as each begins after it.
    var finished = Round()
    var isUnderWay: Bool { begun > finished.number }
  }

  /// Nanoseconds of a check of which no more counts.
  private static let longestCounted: UInt64 = 100_000

  /// What a reader does for a check.
  private enum Turn {
    case make
    case take(Round)
    case giveUp
  }

  /// Nanoseconds from which on waiting for another's check is cheaper than one's own.
  private let worthSharing: UInt64
  /// Nanoseconds after which nobody waits for a check, but follows the rule, which has its own
  /// deadlines.
  private let patience: UInt64
  private let state = Monitor(State())
  /// Nanoseconds that a check takes, as the last ones did.
  private let duration = Atomic<UInt64>(0)
  /// Checks of one's own that are under way, and when one of them came back last.
  private let ownChecks = Atomic(0)
  private let lastReturn = Atomic<UInt64>(0)
  /// Checks that were made.
  let count = Atomic<UInt64>(0)

  /// - Parameters:
  ///   - worthSharing: nanoseconds; twice what a thread takes to fall asleep and to be woken.
  ///   - patience: nanoseconds.
  init(worthSharing: UInt64 = 12_000, patience: UInt64 = 1_000_000_000) {
    self.worthSharing = worthSharing
    self.patience = patience
  }

  /// What a check finds that begins now or later; `nil` when none comes back soon, or it was
  /// made in another epoch.
  func findings(
    in basis: QuickReads.Basis, _ media: MediaTable, complain: (String) -> Void
  ) -> WitnessFindings? {
    if mayMakeItsOwn() {
      ownChecks.add(1, ordering: .relaxed)
      defer { ownChecks.subtract(1, ordering: .relaxed) }
      return check(basis, media, complain)
    }
    let ticket = state.withLock { $0.begun } + 1
    let turn: Turn = state.wait { state in
      if state.finished.number >= ticket { return .done(.take(state.finished)) }
      let now = MonotonicClock.now()
      guard state.isUnderWay else {
        state.begun += 1
        state.time = now
        return .done(.make)
      }
      let end = state.time + patience
      return now < end ? .waitUntil(end) : .done(.giveUp)
    }
    switch turn {
    case .giveUp: return nil
    case .take(let round): return round.epoch == basis.epoch.number ? round.findings : nil
    case .make:
      let findings = check(basis, media, complain)
      state.withLock { state in
        state.finished = Round(number: state.begun, epoch: basis.epoch.number, findings: findings)
      }
      state.notifyAll()
      return findings
    }
  }

  /// Whether a check is quick, and none hangs: who reads other media must not hang as well.
  private func mayMakeItsOwn() -> Bool {
    guard duration.load(ordering: .relaxed) <= worthSharing else { return false }
    return ownChecks.load(ordering: .relaxed) == 0
      || MonotonicClock.now() < lastReturn.load(ordering: .relaxed) + patience
  }

  private func check(
    _ basis: QuickReads.Basis, _ media: MediaTable, _ complain: (String) -> Void
  ) -> WitnessFindings {
    let epoch = basis.epoch
    count.add(1, ordering: .relaxed)
    let began = MonotonicClock.now()
    let findings = media.judge(
      media.check(epoch.media, on: basis.media), of: epoch.known, epoch.media, complain: complain)
    let ended = MonotonicClock.now()
    lastReturn.store(ended, ordering: .relaxed)
    note(ended - began)
    return findings
  }

  /// A thread that lost its processor meanwhile tells nothing of the medium, so what takes
  /// longer counts slowly.
  private func note(_ taken: UInt64) {
    let last = duration.load(ordering: .relaxed)
    let counted = min(taken, Self.longestCounted)
    let next = counted < last ? (last + counted) / 2 : last + (counted - last) / 32
    duration.store(next, ordering: .relaxed)
  }
}
