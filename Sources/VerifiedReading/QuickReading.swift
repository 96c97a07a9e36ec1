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

  var statistics: ReaderStatistics {
    var statistics = state.withLock { $0.statistics }
    statistics.witnessChecks = checks.count.load(ordering: .relaxed)
    return statistics
  }

  func count(_ body: (inout ReaderStatistics) -> Void) {
    state.withLock { body(&$0.statistics) }
  }
}

extension BlockingReader {
  /// Reads a portion in the current epoch, or begins a read of it by the rule.
  ///
  /// - Returns: the read, with what was fetched of it, as far as nothing overtook that; `nil`
  ///   when its bytes are the image's.
  func readQuickly(_ fetch: inout PortionFetch) -> PortionRead? {
    let (portion, content) = (fetch.portion, fetch.content)
    guard let basis = quickBasis, let plan = basis.epoch.plan(portion, content: content) else {
      return withRule { $0.begin(portion, content: content) }
    }
    let isRemap = isRemap(plan, fetch)
    trace.note(.fetch(plan), of: portion)
    let outcome = fetch.run(plan, from: basis.media)
    if case .complete = outcome, fetch.badCopies.isEmpty {
      trace.note(.check, of: portion)
      let findings = quick.checks.findings(in: basis, media) { complaints.note($0) }
      if let findings {
        if !findings.unreadable.isEmpty { withRule { $0.lose(findings.unreadable) } }
        if basis.epoch.confirms(findings, of: fetch.readFrom), quick.isCurrent(basis.epoch) {
          quick.count { counts in
            if isRemap { counts.remaps += 1 }
            counts.count(plan)
          }
          trace.note(.finished, of: portion)
          return nil
        }
      }
    }
    return withRule { rule in
      if isRemap { rule.statistics.remaps += 1 }
      return rule.takeOver(
        portion, content: content, plan, outcome, from: fetch.readFrom, in: basis.epoch)
    }
  }

  /// Whether a portion lies elsewhere than when it was read last.
  func isRemap(_ plan: ReadPlan, _ fetch: PortionFetch) -> Bool {
    plan.mayHaveMoved
      && remaps.withLock { $0.isRemap(plan, of: fetch.portion, content: fetch.content) }
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
