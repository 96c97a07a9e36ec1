public import FrozenImage

// A production host that gives no answer
// ======================================
// A read that needs the production host waits for it, for as long as `remapTimeout`. Once
// no answer came for a whole timeout, waiting once more for each read would only be slow: a
// tree of a thousand files would fail in a night. So that one answer that takes too long, of
// a host that is busy, is not taken for that, it needs two calls in vain. From then on reads that need it fail at
// once, and the driver asks in the background (`nextProbe`) until an answer comes.
//
// A probe is a round of questions like any other: it names every portion that waits, and
// its answer is applied in the same critical section. So it makes nothing valid that a
// read's own question would not.

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

/// A time in which media were lost, and the production host could not read what is on them.
struct Refusal {
  let lost: Set<MediumID>
  /// When the first call of it began, in nanoseconds of the driver's clock.
  let began: UInt64
}

/// What the driver has to do to find out that the production host answers again.
public enum ProbeStep: Sendable {
  /// Read every medium's witness without the lock, then call `checked`.
  case check
  /// Ask the production host without the lock, then call `answered`.
  case ask(MappingQuestion)
  /// Wait until this time (nanoseconds of the driver's clock).
  case pause(until: UInt64)
  /// The outage is over, or the image is gone: stop probing.
  case end
}

extension ReadRule {
  /// Why reads that need the production host fail at once; `nil` while they wait for it.
  ///
  /// - Parameter now: nanoseconds of the driver's clock.
  public func outage(at now: UInt64) -> Outage? {
    guard let outage, isLong(outage) else { return nil }
    // What nobody asked for long may have changed: the next read waits again.
    let isRecent = now <= outage.lastFailed + 10 * limits.probeInterval
    return isRecent || questions.isUnderWay ? outage : nil
  }

  private func isLong(_ outage: Outage) -> Bool {
    outage.calls > 1 && outage.length >= limits.remapTimeout
  }

  /// Fails the read when the production host gave no answer for a whole timeout.
  mutating func failInOutage(_ read: inout PortionRead, for need: String, now: UInt64) -> Step? {
    guard let outage = outage(at: now) else { return nil }
    return fail(
      &read,
      .unreadable(
        "\(need), and the production host gives no answer (it is asked again in the "
          + "background): \(outage.reason)"))
  }

  /// Notes that a call to the production host ended in vain.
  ///
  /// - Parameters:
  ///   - began: when the call began.
  mutating func noteFailure(_ reason: String, began: UInt64, now: UInt64) {
    // Another call may have been answered while this one was not.
    let began = min(max(began, lastAnswered), now)
    guard var noted = outage,
      // Calls far apart do not tell that nobody answered in between.
      isProbing || began <= noted.lastFailed + 5 * limits.retryInterval
    else {
      outage = Outage(began: began, lastFailed: now, reason: reason)
      return
    }
    noted.calls += 1
    noted.lastFailed = max(noted.lastFailed, now)
    noted.reason = reason
    outage = noted
  }

  /// Notes that a call to the production host was answered.
  mutating func noteAnswer(now: UInt64) {
    outage = nil
    lastAnswered = max(lastAnswered, now)
  }

  /// Whether the production host refused for a whole timeout what lies on the media that are
  /// lost: none of them came back meanwhile, and no read waits for them any more.
  mutating func isRefused(_ read: PortionRead, now: UInt64) -> Bool {
    let lost = lost
    if refusal?.lost != lost { refusal = Refusal(lost: lost, began: read.callBegan) }
    return now - min(refusal?.began ?? now, now) >= limits.remapTimeout
  }

  /// Whether the driver has to begin with probing now; it does so once for each outage.
  public mutating func beginProbing(now: UInt64) -> Bool {
    guard !isProbing, thawed == nil, outage(at: now) != nil else { return false }
    isProbing = true
    return true
  }

  /// Says that nobody probes, as there is no thread for it.
  public mutating func endProbing() {
    isProbing = false
  }

  /// What the driver's probe has to do next.
  public mutating func nextProbe(now: UInt64) -> ProbeStep {
    // Reads that still wait ask by themselves, and more often.
    guard let outage, thawed == nil, isLong(outage) else {
      isProbing = false
      return .end
    }
    // Often at first, so that a refusal that is over soon is found out soon.
    let interval = min(max(outage.length / 32, limits.retryInterval), limits.probeInterval)
    let time = outage.lastFailed + interval
    guard now >= time else { return .pause(until: time) }
    guard !questions.isUnderWay else { return .pause(until: now + limits.probeInterval) }
    guard checks.serves(foundTicket) else {
      return beginCheck() ? .check : .pause(until: now + limits.retryInterval)
    }
    guard let question = beginQuestion(now: now) else {
      return .pause(until: now + limits.probeInterval)
    }
    return .ask(question)
  }

  /// Begins a round of questions that serves everybody who waits for one; `nil` while one
  /// is under way.
  ///
  /// - Parameter now: nanoseconds of the driver's clock.
  public mutating func beginQuestion(now: UInt64) -> MappingQuestion? {
    guard questions.begin() else { return nil }
    questionBegan = now
    defer {
      wanted = []
      validating = []
    }
    return MappingQuestion(known: known, found: found, portions: wanted, validating: validating)
  }

  /// Begins a round of checks; `false` while one is under way.
  public mutating func beginCheck() -> Bool {
    guard checks.begin() else { return false }
    statistics.witnessChecks += 1
    return true
  }

  /// Whether the last check found the known state on every medium.
  public var isConfirmed: Bool {
    known.configurationID.entries.allSatisfy { matched.contains($0.medium) }
  }
}
