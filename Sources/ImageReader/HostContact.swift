import FrozenImage

/// A time in which the production host gave no answer.
public struct Outage: Sendable, Equatable {
  /// When the first call of it began, in nanoseconds of the driver's clock.
  public let began: UInt64
  /// When the last call of it ended in vain.
  public internal(set) var lastFailed: UInt64
  /// Why there was no answer, in one sentence.
  public internal(set) var reason: String

  /// Calls that ended in vain.
  var calls = 1

  /// Nanoseconds from the first call to the end of the last one.
  var length: UInt64 { lastFailed - min(began, lastFailed) }
}

/// How the production host answered lately, to questions and to reads.
struct HostContact: Sendable {
  /// A time in which media were lost, and the production host could not read what is on them.
  private struct Refusal {
    let lost: Set<MediumID>
    /// When the first call of it began, in nanoseconds of the driver's clock.
    let began: UInt64
  }

  /// Since when it gives no answer; `nil` when it gave one last.
  private(set) var outage: Outage?
  /// Whether the driver asks in the background.
  private(set) var isProbed = false
  /// When a call was answered last.
  private var lastAnswered: UInt64 = 0
  /// What it refuses while media are lost; `nil` while it does not.
  private var refusal: Refusal?

  /// Notes that a call ended in vain.
  ///
  /// - Parameters:
  ///   - began: when the call began.
  mutating func noteFailure(
    _ reason: String, began: UInt64, now: UInt64, limits: ReadRule.Limits
  ) {
    // Another call may have been answered while this one was not.
    let began = min(max(began, lastAnswered), now)
    guard var noted = outage,
      // Calls far apart do not tell that nobody answered in between.
      isProbed || began <= noted.lastFailed + 5 * limits.retryInterval
    else {
      outage = Outage(began: began, lastFailed: now, reason: reason)
      return
    }
    noted.calls += 1
    noted.lastFailed = max(noted.lastFailed, now)
    noted.reason = reason
    outage = noted
  }

  /// Notes that a call was answered.
  mutating func noteAnswer(now: UInt64) {
    outage = nil
    lastAnswered = max(lastAnswered, now)
  }

  /// Whether the host refused for a whole timeout what lies on the media that are lost: none
  /// of them came back meanwhile, and no read waits for them any more.
  ///
  /// - Parameter began: when the call that it refused now began.
  mutating func isRefusing(
    lost: Set<MediumID>, began: UInt64, now: UInt64, limits: ReadRule.Limits
  ) -> Bool {
    forgetRefusal(unlessOf: lost)
    let refusal = refusal ?? Refusal(lost: lost, began: began)
    self.refusal = refusal
    return now - min(refusal.began, now) >= limits.remapTimeout
  }

  /// What was refused while other media were lost counts no more.
  mutating func forgetRefusal(unlessOf lost: Set<MediumID>) {
    if refusal?.lost != lost { refusal = nil }
  }

  mutating func beginProbing() { isProbed = true }

  mutating func endProbing() { isProbed = false }
}
