import FrozenImage
import HostSystem
import ImageReader
import Synchronization

/// Witness checks of reads that follow no rule's lock: where a check takes long, one serves
/// everybody whose last byte was read before it began; where it is shorter than it takes to
/// wake somebody, each read makes its own.
final class SharedChecks: Sendable {
  /// Nanoseconds from which on waiting for another's check is cheaper than one's own: twice
  /// what a thread takes to fall asleep and to be woken.
  private static let worthSharing: UInt64 = 12_000

  private struct Round {
    var number: UInt64 = 0
    var epoch: UInt64 = 0
    var findings = WitnessFindings()
  }

  private struct State {
    var begun: UInt64 = 0
    /// The last one that has finished; no other is remembered, as each begins after it.
    var finished = Round()
    var isUnderWay: Bool { begun > finished.number }
  }

  private let state = Monitor(State())
  /// Nanoseconds that a check takes, as the last ones did.
  private let duration = Atomic<UInt64>(0)

  /// What a check finds that begins now or later.
  func findings(
    in basis: QuickReads.Basis, _ media: MediaTable, complain: (String) -> Void
  ) -> WitnessFindings {
    guard duration.load(ordering: .relaxed) > Self.worthSharing else {
      return check(basis, media, complain)
    }
    let ticket = state.withLock { $0.begun } + 1
    while true {
      let shared: Round? = state.wait { state in
        if state.finished.number >= ticket { return .done(state.finished) }
        if state.isUnderWay { return .wait }
        state.begun += 1
        return .done(nil)
      }
      if let shared {
        // A check of another epoch proves nothing of this one.
        return shared.epoch == basis.epoch.number ? shared.findings : check(basis, media, complain)
      }
      let findings = check(basis, media, complain)
      state.withLock { state in
        state.finished = Round(number: state.begun, epoch: basis.epoch.number, findings: findings)
      }
      state.notifyAll()
      return findings
    }
  }

  private func check(
    _ basis: QuickReads.Basis, _ media: MediaTable, _ complain: (String) -> Void
  ) -> WitnessFindings {
    let epoch = basis.epoch
    let began = MonotonicClock.now()
    let findings = media.judge(
      media.check(epoch.media, on: basis.media), of: epoch.known, epoch.media, complain: complain)
    note(MonotonicClock.now() - began)
    return findings
  }

  /// A thread that lost its processor meanwhile tells nothing of the medium, so what takes
  /// longer counts slowly.
  private func note(_ taken: UInt64) {
    let last = duration.load(ordering: .relaxed)
    let next =
      taken < last ? (last + taken) / 2 : last + (min(taken, 8 * Self.worthSharing) - last) / 32
    duration.store(next, ordering: .relaxed)
  }
}
