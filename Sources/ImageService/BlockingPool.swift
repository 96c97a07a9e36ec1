import HostSystem
import SystemPackage

/// A few threads of its own for work that blocks, so that Swift's cooperative pool never
/// waits for a disk; and a bound on how much of it may wait. The threads end once nobody
/// holds the pool any more and what waited is done.
final class BlockingPool: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var isStopped = false
  }

  private let state = Monitor(State())
  private let maximumWaiting: Int

  /// More work than may wait.
  struct Overloaded: Error {}

  /// - Throws: `EAGAIN` when the system has no thread left.
  init(threads: Int, maximumWaiting: Int) throws(Errno) {
    self.maximumWaiting = maximumWaiting
    do throws(Errno) {
      for _ in 0..<threads {
        try Thread.detach { [state] in
          while let job = Self.next(state) { job() }
        }
      }
    } catch {
      stop()
      throw error
    }
  }

  deinit { stop() }

  /// Ends the threads once what waits is done.
  func stop() {
    state.withLock { $0.isStopped = true }
    state.notifyAll()
  }

  /// Runs a body on a thread of the pool.
  ///
  /// - Throws: `Overloaded`, or what the body throws.
  func run<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let isTaken = state.withLock { state in
        guard !state.isStopped, state.jobs.count < maximumWaiting else { return false }
        state.jobs.append { continuation.resume(with: Swift.Result { try body() }) }
        return true
      }
      if isTaken { state.notifyAll() } else { continuation.resume(throwing: Overloaded()) }
    }
  }

  private static func next(_ state: Monitor<State>) -> (@Sendable () -> Void)? {
    state.wait { state in
      if !state.jobs.isEmpty { return .done(state.jobs.removeFirst()) }
      return state.isStopped ? .done(nil) : .wait
    }
  }
}
