import HostSystem
import SystemPackage

/// A few threads of its own for work that blocks, so that Swift's cooperative pool never
/// waits for a disk; and a bound on how much of it may wait. The threads end once nobody
/// holds the pool any more and what waited is done.
final class BlockingPool: Sendable {
  private let jobs: WorkQueue<@Sendable () -> Void>

  /// More work than may wait.
  struct Overloaded: Error {}

  /// - Throws: `EAGAIN` when the system has no thread left.
  init(threads: Int, maximumWaiting: Int) throws(Errno) {
    jobs = WorkQueue(limit: maximumWaiting)
    do throws(Errno) {
      for _ in 0..<threads {
        try Thread.detach { [jobs] in
          while let job = jobs.next() { job() }
        }
      }
    } catch {
      stop()
      throw error
    }
  }

  deinit { stop() }

  /// Ends the threads once what waits is done.
  func stop() { jobs.close() }

  /// Runs a body on a thread of the pool.
  ///
  /// - Throws: `Overloaded`, or what the body throws.
  func run<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let isTaken = jobs.offer { continuation.resume(with: Swift.Result { try body() }) }
      if !isTaken { continuation.resume(throwing: Overloaded()) }
    }
  }
}
