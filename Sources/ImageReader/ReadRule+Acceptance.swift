public import FrozenImage

// From a read's bytes to their acceptance: the heart of the rule (see ReadRule.swift).

extension ReadRule {
  static let validationNeed = "its place cannot be validated"

  /// Takes the outcome of fetching a plan's bytes.
  ///
  /// - Parameter incarnations: the incarnation of each medium that was read from, as it was
  ///   when it was read first.
  public mutating func fetched(
    _ read: inout PortionRead, _ outcome: FetchOutcome, from incarnations: [MediumID: Incarnation],
    now: UInt64
  ) {
    guard case .fetching(let fetch) = read.phase else {
      preconditionFailure("a read's bytes were not to be fetched")
    }
    noteCall(of: fetch, outcome, now: now)
    switch outcome {
    case .complete where !fetch.plan.readsMedia:
      _ = finish(&read, fetch.plan)
    case .complete, .damaged:
      let bytes = PortionRead.Bytes(
        id: fetch.id, plan: fetch.plan, outcome: outcome, incarnations: incarnations)
      read.phase = .checking(bytes, ticket: witness.checks.nextTicket)
    case .sourceFailed(.thawed(let reason)):
      thawed = reason
      _ = fail(&read, .thawed(reason))
    case .sourceFailed(.failed(let reason)):
      let isWaitedFor =
        fetch.lacksMedia
        && !contact.isRefusing(lost: lost, began: fetch.callBegan, now: now, limits: limits)
      guard isWaitedFor else {
        _ = fail(&read, .unreadable(reason))
        return
      }
      comeBack(&read, after: reason, now: now)
    case .sourceFailed(.unreachable(let reason)): comeBack(&read, after: reason, now: now)
    }
  }

  mutating func afterCheck(
    _ read: inout PortionRead, _ bytes: PortionRead.Bytes, ticket: UInt64, now: UInt64
  ) -> Step {
    guard witness.checks.serves(ticket) else { return check(&read, now: now) }
    read.patience.roundIsOver()
    guard isCurrent(bytes) else { return discard(&read, now: now) }
    if validation == .witness, !isInDoubt, witness.proves(bytes.plan.media) {
      return accept(&read, bytes, now: now)
    }
    if let step = failInOutage(&read, for: Self.validationNeed, now: now) { return step }
    let ticket = questions.rounds.nextTicket
    read.phase = .validating(bytes, ticket: ticket)
    questions.validate(read.portion)
    return afterAnswer(&read, bytes, ticket: ticket, now: now)
  }

  mutating func afterAnswer(
    _ read: inout PortionRead, _ bytes: PortionRead.Bytes, ticket: UInt64, now: UInt64
  ) -> Step {
    switch answer(for: &read, ticket: ticket, now: now) {
    case .step(let step): return step
    case .unanswered(let retryTime):
      // Bytes that are at hand may pass yet: perhaps the check only fell between
      // the writes of one commit.
      read.phase = .checking(bytes, ticket: witness.checks.nextTicket)
      return .pause(until: retryTime)
    case .answered(let inStep):
      let isProved = bytes.plan.media.allSatisfy { medium in
        inStep[medium].map { $0 == witness.incarnations[medium] } ?? false
      }
      guard isProved, isCurrent(bytes) else { return discard(&read, now: now) }
      return accept(&read, bytes, now: now)
    }
  }

  /// Whether no answer has touched what the bytes' plan used, and every medium that they came
  /// from is still the one that checks look at.
  private func isCurrent(_ bytes: PortionRead.Bytes) -> Bool {
    guard let registration = underWay[bytes.id] else {
      preconditionFailure("a read that holds bytes is registered")
    }
    return !registration.isOvertaken && !bytes.incarnations.isEmpty
      && witness.incarnations.include(bytes.incarnations)
  }

  /// The mapping held when the bytes were read: they are the image's, unless the
  /// medium itself is damaged.
  private mutating func accept(
    _ read: inout PortionRead, _ bytes: PortionRead.Bytes, now: UInt64
  ) -> Step {
    guard case .damaged(let damage) = bytes.outcome else { return finish(&read, bytes.plan) }
    retreat(&read)
    return readThrough(&read, damage.reason, damage: damage, now: now)
  }

  private mutating func discard(_ read: inout PortionRead, now: UInt64) -> Step {
    statistics.discardedReads += 1
    read.patience.addVainAttempt()
    retreat(&read)
    if read.patience.vainAttempts >= limits.attempts {
      return readThrough(&read, "its place keeps changing", now: now)
    }
    return next(&read, now: now)
  }
}

// MARK: Waiting for a round

extension ReadRule {
  /// What a read that waits for a question has come to.
  enum Awaited {
    /// It has to do this first.
    case step(Step)
    /// The media that were in step, as they were installed when it was asked.
    case answered(inStep: [MediumID: Incarnation])
    /// It waits until then, and asks again.
    case unanswered(retryTime: UInt64)
  }

  /// Waits for a question that began after the ticket was taken.
  mutating func answer(for read: inout PortionRead, ticket: UInt64, now: UInt64) -> Awaited {
    if let thawed { return .step(fail(&read, .thawed(thawed))) }
    guard let outcome = questions.outcome(for: ticket) else {
      return .step(ask(&read, now: now))
    }
    read.patience.roundIsOver()
    switch outcome {
    case .answered(let inStep):
      read.patience.hostAnswered()
      return .answered(inStep: inStep)
    case .unanswered(let reason, let retryTime):
      read.patience.failed(because: reason)
      if let step = expired(&read, now: now) { return .step(step) }
      read.patience.rest(until: retryTime)
      return .unanswered(retryTime: retryTime)
    }
  }

  /// Asks the production host, or waits until that is of use.
  private mutating func ask(_ read: inout PortionRead, now: UInt64) -> Step {
    if let step = failInOutage(&read, for: Self.validationNeed, now: now) { return step }
    if questions.rounds.isUnderWay { return wait(&read, now: now) }
    let retryTime = questions.retryTime
    if now < retryTime { return expired(&read, now: now) ?? .pause(until: retryTime) }
    guard witness.isFresh else { return check(&read, now: now) }
    guard let question = beginQuestion(now: now) else { return wait(&read, now: now) }
    read.patience.roundIsOver()
    read.patience.needHost(now: now, limits: limits)
    return .ask(question)
  }

  private mutating func check(_ read: inout PortionRead, now: UInt64) -> Step {
    guard beginCheck() else { return wait(&read, now: now) }
    read.patience.roundIsOver()
    return .check
  }

  private mutating func wait(_ read: inout PortionRead, now: UInt64) -> Step {
    guard let deadline = read.patience.waitForRound(now: now, limits: limits) else {
      return fail(&read, .unreadable("a witness check or a question does not come back"))
    }
    return .pause(until: deadline)
  }

  /// Fails the read when it has waited for the production host for as long as it may.
  mutating func expired(_ read: inout PortionRead, now: UInt64) -> Step? {
    read.patience.needHost(now: now, limits: limits)
    guard read.patience.isSpent(at: now) else { return nil }
    let reason =
      read.patience.lastFailure ?? questions.unanswered ?? "no answer came in time"
    return fail(&read, .unreadable("\(Self.validationNeed): \(reason)"))
  }
}
