import FrozenImage
import HostSystem
import LogicalRepresentation
import SystemPackage

/// What the threads of a restore know together.
final class RestoreProgress: Sendable {
  private struct State {
    var findings = RestoreFindings()
    /// Why nothing more is restored.
    var end: (any Error)?
    /// Nodes with several names that could not be made under the first.
    var missing: Set<NodeIndex> = []
    var workers = 0
  }

  private let state = Monitor(State())

  var findings: RestoreFindings { state.withLock { $0.findings } }

  /// Why everything ends; `nil` while it goes on.
  var end: (any Error)? {
    do throws(Interrupted) { try Interruption.check() } catch { return error }
    return state.withLock { $0.end }
  }

  func count(_ change: (inout RestoreFindings) -> Void) {
    state.withLock { change(&$0.findings) }
  }

  /// Notes what an entry could not be given. It is there all the same.
  func note(_ losses: EntryAttributes.Losses, of path: String) {
    for failure in losses.failures { add(path, failure) }
    guard losses.owner || losses.properties > 0 else { return }
    count { findings in
      if losses.owner { findings.ownersNotKept += 1 }
      findings.propertiesNotKept += UInt64(losses.properties)
    }
  }

  /// Notes what could not be restored. Where that is the same for everything that follows, the
  /// whole restore ends.
  func fail(_ path: String, _ error: any Error) {
    guard !Self.isFinal(error) else {
      return state.withLock { $0.end = $0.end ?? error }
    }
    add(path, error)
  }

  private func add(_ path: String, _ error: any Error) {
    state.withLock { state in
      state.findings.failureCount += 1
      guard state.findings.failures.count < RestoreFindings.failureLimit else { return }
      state.findings.failures.append(.init(path: path, error: error))
    }
  }

  /// A full or read-only file system, and an image that is gone.
  private static func isFinal(_ error: any Error) -> Bool {
    if error is Interrupted || ErrorCode(of: error) == .thawed { return true }
    var cause: (any Error)? = error
    while let next = cause {
      if let number = next as? Errno {
        return [.noSpace, .diskQuotaExceeded, .readOnlyFileSystem].contains(number)
      }
      cause = (next as? any CodedError)?.cause
    }
    return false
  }

  func noteMissing(_ node: NodeIndex) { state.withLock { _ = $0.missing.insert(node) } }

  func isMissing(_ node: NodeIndex) -> Bool { state.withLock { $0.missing.contains(node) } }

  // MARK: - Workers

  func workerStarts() { state.withLock { $0.workers += 1 } }

  func workerEnds() {
    state.withLock { $0.workers -= 1 }
    state.notifyAll()
  }

  /// Sleeps until no worker is left.
  ///
  /// - Parameter tell: called some times a second meanwhile.
  func waitForWorkers(_ tell: (RestoreFindings) -> Void) {
    var isLeft = true
    while isLeft {
      let pause = MonotonicClock.now() + 200_000_000
      let (left, findings): (Bool, RestoreFindings) = state.wait { state in
        if state.workers == 0 { return .done((false, state.findings)) }
        return MonotonicClock.now() < pause ? .waitUntil(pause) : .done((true, state.findings))
      }
      tell(findings)
      isLeft = left
    }
  }
}
