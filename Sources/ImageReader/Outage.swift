public import FrozenImage

// A production host that gives no answer
// ======================================
// A read that needs the production host waits for it, for as long as `remapTimeout`. Once
// no answer came for a whole timeout, waiting once more for each read would only be slow: a
// tree of a thousand files would fail in a night. So that one answer that takes too long, of
// a host that is busy, is not taken for that, it needs two calls in vain. From then on reads
// that need it fail at once, and the driver asks in the background (`nextProbe`) until an
// answer comes.
//
// A probe is a round of questions like any other: it names every portion that waits, and
// its answer is applied in the same critical section. So it makes nothing valid that a
// read's own question would not.

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
    guard let outage = contact.outage, isLong(outage) else { return nil }
    // What nobody asked for long may have changed: the next read waits again.
    let isRecent = now <= outage.lastFailed + 10 * limits.probeInterval
    return isRecent || questions.rounds.isUnderWay ? outage : nil
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

  /// Whether the driver has to begin with probing now; it does so once for each outage.
  public mutating func beginProbing(now: UInt64) -> Bool {
    guard !contact.isProbed, thawed == nil, outage(at: now) != nil else { return false }
    contact.beginProbing()
    return true
  }

  /// Says that nobody probes, as there is no thread for it.
  public mutating func endProbing() {
    precondition(contact.isProbed, "nobody probes")
    contact.endProbing()
  }

  /// What the driver's probe has to do next.
  public mutating func nextProbe(now: UInt64) -> ProbeStep {
    precondition(contact.isProbed, "a probe takes its steps between `beginProbing` and its end")
    // Reads that still wait ask by themselves, and more often.
    guard let outage = contact.outage, thawed == nil, isLong(outage) else {
      contact.endProbing()
      return .end
    }
    // Often at first, so that a refusal that is over soon is found out soon.
    let interval = min(max(outage.length / 32, limits.retryInterval), limits.probeInterval)
    let time = outage.lastFailed + interval
    guard now >= time else { return .pause(until: time) }
    guard !questions.rounds.isUnderWay else { return .pause(until: now + limits.probeInterval) }
    guard witness.isFresh else {
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
    questions.begin(known: known, witness: witness, now: now)
  }

  /// Begins a round of checks; `false` while one is under way.
  public mutating func beginCheck() -> Bool {
    guard witness.beginCheck() else { return false }
    statistics.witnessChecks += 1
    return true
  }

  /// Whether the last check found the known state on every medium.
  public var isConfirmed: Bool {
    witness.proves(Set(known.configurationID.entries.map(\.medium)))
  }
}
