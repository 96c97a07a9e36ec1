/// Work that threads take in the order in which it came, with a bound on how much waits.
package final class WorkQueue<Work: Sendable>: Sendable {
  private struct State {
    var waiting: [Work] = []
    var isClosed = false
  }

  private let state = Monitor(State())
  private let limit: Int

  /// - Parameter limit: most pieces of work that wait; at least one may.
  package init(limit: Int) {
    self.limit = max(limit, 1)
  }

  /// Adds work if there is room for it.
  ///
  /// - Returns: whether it was taken; not once the queue is closed.
  package func offer(_ work: Work) -> Bool {
    let isTaken = state.withLock { state in
      guard !state.isClosed, state.waiting.count < limit else { return false }
      state.waiting.append(work)
      return true
    }
    if isTaken { state.notifyAll() }
    return isTaken
  }

  /// Adds work, and waits until there is room for it. Blocks.
  ///
  /// - Returns: whether it was taken; not once the queue is closed.
  package func add(_ work: Work) -> Bool {
    let isTaken = state.wait { state in
      if state.isClosed { return .done(false) }
      guard state.waiting.count < limit else { return .wait }
      state.waiting.append(work)
      return .done(true)
    }
    if isTaken { state.notifyAll() }
    return isTaken
  }

  /// Takes the work that waited longest, or waits for some. Blocks.
  ///
  /// - Returns: `nil` once the queue is closed and empty.
  package func next() -> Work? {
    let work: Work? = state.wait { state in
      if !state.waiting.isEmpty { return .done(state.waiting.removeFirst()) }
      return state.isClosed ? .done(nil) : .wait
    }
    state.notifyAll()
    return work
  }

  /// Takes no more work; what waits is still given out.
  package func close() {
    state.withLock { $0.isClosed = true }
    state.notifyAll()
  }
}
