/// How long a read waits, and how often it tries.
///
/// Times are nanoseconds of the driver's clock. A read that is thrown away and begins anew
/// keeps all of it.
struct ReadPatience: Sendable {
  /// When to give up waiting for the production host; set when it is needed, and forgotten
  /// when it answered at once.
  private var deadline: UInt64?
  /// When to stop waiting for the round that it waits for now.
  private var roundDeadline: UInt64?
  /// Times that bytes were thrown away, or that the place stayed unknown.
  private(set) var vainAttempts = 0
  /// Not to be tried again before.
  private(set) var resumeTime: UInt64 = 0
  /// Why it had to wait last.
  private(set) var lastFailure: String?

  mutating func addVainAttempt() { vainAttempts += 1 }

  /// Another way was tried: places are tried as often again.
  mutating func forgetVainAttempts() { vainAttempts = 0 }

  /// From now on the read waits for the production host.
  mutating func needHost(now: UInt64, limits: ReadRule.Limits) {
    if deadline == nil { deadline = now + limits.remapTimeout }
  }

  /// The production host answered. Once something failed, no answer makes the read wait for
  /// longer.
  mutating func hostAnswered() {
    if lastFailure == nil { deadline = nil }
  }

  /// Whether the read has waited for the production host for as long as it may.
  func isSpent(at now: UInt64) -> Bool { deadline.map { now >= $0 } ?? false }

  /// Waits for a round of somebody else, but not for ever: one medium whose path hangs must
  /// not hold up every read without end.
  ///
  /// - Returns: until when; `nil` when the read has waited for as long as it may.
  mutating func waitForRound(now: UInt64, limits: ReadRule.Limits) -> UInt64? {
    let deadline = roundDeadline ?? now + limits.roundTimeout
    roundDeadline = deadline
    return now < deadline ? deadline : nil
  }

  /// The round came back, or is the read's own.
  mutating func roundIsOver() { roundDeadline = nil }

  /// Something failed, and is tried again later.
  mutating func failed(because reason: String?) { lastFailure = reason }

  mutating func rest(until time: UInt64) { resumeTime = time }
}
