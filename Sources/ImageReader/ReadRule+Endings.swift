import FrozenImage

// How a read ends: through the production host, with its bytes, or with an error; and how it
// comes back to its start (see ReadRule.swift).

extension ReadRule {
  mutating func readThrough(
    _ read: inout PortionRead, _ reason: String, damage: FetchOutcome.Damage? = nil, now: UInt64
  ) -> Step {
    if let step = failInOutage(&read, for: reason, now: now) { return step }
    read.patience.needHost(now: now, limits: limits)
    read.phase = .readingThrough(PortionRead.Call(began: now, damage: damage))
    return .readThrough(reason: reason)
  }

  /// Takes the outcome of reading the portion through the production host.
  public mutating func readThrough(
    _ read: inout PortionRead, failed error: SourceError?, now: UInt64
  ) {
    guard case .readingThrough(let call) = read.phase else {
      preconditionFailure("a read was not to be read through the production host")
    }
    switch error {
    case nil:
      contact.noteAnswer(now: now)
      statistics.reads += 1
      statistics.productionHostBytes += UInt64(read.portion.range.count)
      read.phase = .finished
    case .thawed(let reason):
      thawed = reason
      _ = fail(&read, .thawed(reason))
    case .failed(let reason):
      _ = fail(&read, .unreadable(reason))
    case .unreachable(let reason):
      noteFailure(SourceError.unreachable(reason), began: call.began, now: now)
      comeBack(&read, after: reason, now: now)
      read.patience.forgetVainAttempts()
    }
  }

  /// Notes whether the production host gave the bytes that only it can give.
  mutating func noteCall(of fetch: PortionRead.Fetch, _ outcome: FetchOutcome, now: UInt64) {
    guard fetch.plan.needsProductionHost else { return }
    switch outcome {
    case .complete: contact.noteAnswer(now: now)
    case .sourceFailed(.unreachable(let reason)):
      noteFailure(SourceError.unreachable(reason), began: fetch.callBegan, now: now)
    // What it cannot read, and what was not asked of it, says nothing of the others.
    case .sourceFailed, .damaged: break
    }
  }

  mutating func noteFailure(_ error: SourceError, began: UInt64, now: UInt64) {
    contact.noteFailure(error.description, began: began, now: now, limits: limits)
  }

  /// Tries a read again in a while: perhaps the storage has it by then, as a medium that was
  /// lost for a moment.
  mutating func comeBack(_ read: inout PortionRead, after reason: String, now: UInt64) {
    retreat(&read)
    read.patience.failed(because: reason)
    read.patience.rest(until: now + limits.retryInterval)
  }

  /// Takes a read back to where it has no plan.
  mutating func retreat(_ read: inout PortionRead) {
    unregister(read)
    read.phase = .planning(PortionRead.Planning())
  }

  private mutating func unregister(_ read: PortionRead) {
    if let id = read.registration { underWay[id] = nil }
  }

  mutating func finish(_ read: inout PortionRead, _ plan: ReadPlan) -> Step {
    unregister(read)
    statistics.count(plan)
    read.phase = .finished
    return .finished
  }

  mutating func fail(_ read: inout PortionRead, _ error: ReadError) -> Step {
    unregister(read)
    statistics.errors += 1
    read.phase = .failed(error)
    return .failed(error)
  }
}
