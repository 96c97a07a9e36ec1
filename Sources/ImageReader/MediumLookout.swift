/// The look-out for media that were lost and may be usable again: a check now and then,
/// whose outcome is judged once. No read's own check would find out once no plan reads a
/// medium any more.
enum MediumLookout: Sendable {
  /// Nobody looks before this time (nanoseconds of the driver's clock).
  case resting(until: UInt64)
  /// This check looks, and what it finds is still to be judged; no other look before the time.
  case looking(check: UInt64, until: UInt64)

  func mayLook(at now: UInt64) -> Bool {
    switch self {
    case .resting(let time), .looking(_, let time): now >= time
    }
  }

  /// Nobody has to look for a while: an answer just told which media are in step.
  mutating func rest(until time: UInt64) {
    switch self {
    case .resting: self = .resting(until: time)
    case .looking(let check, _): self = .looking(check: check, until: time)
    }
  }

  /// Whether a look's check has finished; says so once for each look.
  mutating func takeLook(of checks: Rounds) -> Bool {
    guard case .looking(let check, let time) = self, checks.serves(check) else { return false }
    self = .resting(until: time)
    return true
  }
}
