import FrozenImage
import HostSystem
import ImageReader
import Synchronization

// Reads that nothing comes between (Epoch.swift in ImageReader): no lock of the rule, and no
// wait for another read's check where a check of one's own is cheaper.

/// What reads use while nothing moves: the epoch as the rule's driver last published it, the
/// media that are installed in it, and what such reads did.
final class QuickReads: Sendable {
  /// An epoch, and the media as they were installed when it had begun. Where one of them was
  /// installed later, the epoch has ended.
  final class Basis: Sendable {
    let epoch: Epoch
    let media: [MediumID: MediaTable.Installed]

    init(_ epoch: Epoch, _ media: [MediumID: MediaTable.Installed]) {
      self.epoch = epoch
      self.media = media
    }
  }

  private struct State {
    var basis: Basis?
    var statistics = ReaderStatistics()
  }

  private let state = Monitor(State())
  /// The epoch that is current, by its number.
  private let number: Atomic<UInt64>
  let checks = SharedChecks()

  init(_ rule: ReadRule) {
    number = Atomic(rule.epochNumber)
  }

  /// Follows the rule; called with the rule's lock held, after each change, so that nobody
  /// sees what a change brought before the epoch that it ended is gone.
  func follow(_ rule: ReadRule) {
    guard number.load(ordering: .relaxed) != rule.epochNumber else { return }
    number.store(rule.epochNumber, ordering: .sequentiallyConsistent)
    state.withLock { $0.basis = nil }
  }

  /// What reads use in the current epoch; `nil` when nobody has made it, or the epoch that it
  /// was made for has ended.
  var basis: Basis? { state.withLock { $0.basis } }

  /// Keeps what reads use from now on.
  func begin(_ basis: Basis) {
    state.withLock { state in
      if isCurrent(basis.epoch) { state.basis = basis }
    }
  }

  /// Whether an epoch has not ended.
  func isCurrent(_ epoch: Epoch) -> Bool {
    number.load(ordering: .sequentiallyConsistent) == epoch.number
  }

  var statistics: ReaderStatistics { state.withLock { $0.statistics } }

  func count(_ body: (inout ReaderStatistics) -> Void) {
    state.withLock { body(&$0.statistics) }
  }
}

extension BlockingReader {
  /// What came of a read in an epoch.
  enum QuickOutcome {
    /// The bytes are the image's.
    case proved
    /// They were read, and are not proved: they count as thrown away.
    case unproved
    /// It was not tried, or a copy is bad, which the rule judges.
    case notDone
  }

  /// Reads a portion in the current epoch.
  func readQuickly(_ fetch: inout PortionFetch) -> QuickOutcome {
    guard let basis = quickBasis,
      let plan = basis.epoch.plan(fetch.portion, content: fetch.content)
    else { return .notDone }
    let isRemap =
      plan.mayHaveMoved
      && remaps.withLock { $0.isRemap(plan, of: fetch.portion, content: fetch.content) }
    trace.note(.fetch(plan), of: fetch.portion)
    guard case .complete = fetch.run(plan, from: basis.media), fetch.badCopies.isEmpty else {
      return .notDone
    }
    trace.note(.check, of: fetch.portion)
    let findings = quick.checks.findings(in: basis, media) { complaints.note($0) }
    let isProved =
      basis.epoch.confirms(findings, of: fetch.readFrom) && quick.isCurrent(basis.epoch)
    quick.count { counts in
      counts.witnessChecks += 1
      if isRemap { counts.remaps += 1 }
      if isProved { counts.count(plan) }
    }
    guard isProved else { return .unproved }
    trace.note(.finished, of: fetch.portion)
    return .proved
  }

  /// What reads use now; `nil` when they have to follow the rule.
  private var quickBasis: QuickReads.Basis? {
    if let basis = quick.basis { return basis }
    // The epoch first: a medium that is installed after it ends it.
    guard let epoch = withRule({ $0.epoch }) else { return nil }
    let basis = QuickReads.Basis(epoch, media.installed)
    quick.begin(basis)
    return basis
  }
}
