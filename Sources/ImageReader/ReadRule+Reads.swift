public import FrozenImage

// A read's way from its plan to its acceptance, step by step (see ReadRule.swift).

extension ReadRule {
  /// Begins a read of a portion.
  public func begin(_ portion: Portion, content: PortionContent) -> PortionRead {
    PortionRead(portion: portion, content: content)
  }

  /// What the read has to do next.
  ///
  /// - Parameter now: nanoseconds of a clock that never goes back.
  public mutating func next(_ read: inout PortionRead, now: UInt64) -> Step {
    switch read.phase {
    case .planning: return plan(&read, now: now)
    case .fetching: return read.plan.map { .fetch($0) } ?? plan(&read, now: now)
    case .checking(let ticket): return afterCheck(&read, ticket: ticket, now: now)
    case .asking(let ticket): return afterAnswer(&read, ticket: ticket, now: now)
    case .readingThrough(let reason): return .readThrough(reason: reason)
    case .finished: return .finished
    case .failed(let error): return .failed(error)
    }
  }

  private mutating func plan(_ read: inout PortionRead, now: UInt64) -> Step {
    if let thawed { return fail(&read, .thawed(thawed)) }
    if now < read.resumeTime { return expired(&read, now: now) ?? .pause(until: read.resumeTime) }
    if let step = lookAtLostMedia(&read, now: now) { return step }
    var planner = Planner(portion: read.portion, content: read.content, map: map, lost: lost)
    read.lacksMedia = !lost.isEmpty
    if let refusal, refusal.lost != lost { self.refusal = nil }
    guard let plan = planner.plan(with: overlay) else {
      if let step = failInOutage(&read, for: "its place is not known", now: now) { return step }
      if read.hasAsked { read.vainAttempts += 1 }
      if read.vainAttempts >= limits.attempts {
        return readThrough(&read, "its place keeps changing", now: now)
      }
      read.hasAsked = true
      wanted.append(read.portion)
      return ask(&read, now: now)
    }
    if let place = plan.firstUnreadable {
      return fail(
        &read,
        .unreadable(
          "inode \(read.portion.inode) could not be read at byte \(place) when the image was "
            + "frozen"))
    }
    if remapMemory.isNews(plan, of: read, map: map, overlay: overlay) { statistics.remaps += 1 }
    if plan.needsProductionHost {
      let need = "only the production host can read it here"
      if let step = failInOutage(&read, for: need, now: now) { return step }
      setDeadline(&read, now: now)
      read.callBegan = now
    }
    lastReadID += 1
    read.id = lastReadID
    read.plan = plan
    read.phase = .fetching
    read.damage = nil
    underWay[read.id] = Registration(keys: read.portion.keys, plan: plan)
    return .fetch(plan)
  }

  /// Looks now and then whether media that were lost are usable again. No read's own
  /// check would find out once no plan reads a medium any more.
  private mutating func lookAtLostMedia(_ read: inout PortionRead, now: UInt64) -> Step? {
    if lookNeedsAnswer {
      lookNeedsAnswer = false
      // A medium that the known state does not list, but that can be read, was late
      // when the provider looked.
      let wasLate = media.contains {
        known.configurationID[$0.id] == nil && found[$0.id] != nil
      }
      if unanswered == nil, wasLate || !behind.isEmpty && matched.isEmpty {
        return ask(&read, now: now)
      }
    }
    // Once for each plan: a check that takes long must not lead to the next one.
    guard !read.hasLooked, now >= lookTime, !lost.isEmpty, checks.begin() else { return nil }
    read.hasLooked = true
    lookTime = now + limits.retryInterval
    lookNeedsAnswer = true
    statistics.witnessChecks += 1
    return .check
  }

  /// Takes the outcome of fetching a plan's bytes.
  public mutating func fetched(_ read: inout PortionRead, _ outcome: FetchOutcome, now: UInt64) {
    guard case .fetching = read.phase, let plan = read.plan else { return }
    read.outcome = outcome
    noteCall(of: read, plan, outcome, now: now)
    switch outcome {
    case .complete where !plan.readsMedia:
      _ = finish(&read)
    case .complete, .damaged:
      read.phase = .checking(ticket: checks.nextTicket)
    case .sourceFailed(.thawed(let reason)):
      thawed = reason
      _ = fail(&read, .thawed(reason))
    case .sourceFailed(.failed(let reason)):
      guard read.lacksMedia, !isRefused(read, now: now) else {
        _ = fail(&read, .unreadable(reason))
        return
      }
      comeBack(&read, after: reason, now: now)
    case .sourceFailed(.unreachable(let reason)): comeBack(&read, after: reason, now: now)
    }
  }

  /// Tries a read again in a while: perhaps the storage has it by then, as a medium that was
  /// lost for a moment.
  private mutating func comeBack(_ read: inout PortionRead, after reason: String, now: UInt64) {
    retreat(&read)
    read.lastFailure = reason
    read.resumeTime = now + limits.retryInterval
  }

  /// Notes whether the production host gave the bytes that only it can give.
  private mutating func noteCall(
    of read: PortionRead, _ plan: ReadPlan, _ outcome: FetchOutcome, now: UInt64
  ) {
    guard plan.needsProductionHost else { return }
    switch outcome {
    case .complete: noteAnswer(now: now)
    case .sourceFailed(.unreachable(let reason)):
      let reason = SourceError.unreachable(reason).description
      noteFailure(reason, began: read.callBegan, now: now)
    // What it cannot read, and what was not asked of it, says nothing of the others.
    case .sourceFailed, .damaged: break
    }
  }

  private mutating func afterCheck(_ read: inout PortionRead, ticket: UInt64, now: UInt64) -> Step {
    guard checks.serves(ticket) else { return check(&read, now: now) }
    read.waitDeadline = nil
    guard let registration = underWay[read.id], !registration.isOvertaken else {
      return discard(&read, now: now)
    }
    if validation == .witness, registration.plan.media.isSubset(of: matched) {
      return accept(&read, now: now)
    }
    return ask(&read, now: now)
  }

  private mutating func check(_ read: inout PortionRead, now: UInt64) -> Step {
    guard checks.begin() else { return wait(&read, now: now) }
    read.waitDeadline = nil
    statistics.witnessChecks += 1
    return .check
  }

  /// Waits for a round of somebody else, but not for ever: one medium whose path
  /// hangs must not hold up every read without end.
  private mutating func wait(_ read: inout PortionRead, now: UInt64) -> Step {
    let deadline = read.waitDeadline ?? now + limits.roundTimeout
    read.waitDeadline = deadline
    guard now < deadline else {
      return fail(&read, .unreadable("a witness check or a question does not come back"))
    }
    return .pause(until: deadline)
  }

  private mutating func ask(_ read: inout PortionRead, now: UInt64) -> Step {
    let need = "its place cannot be validated"
    if let step = failInOutage(&read, for: need, now: now) { return step }
    let ticket = questions.nextTicket
    read.phase = .asking(ticket: ticket)
    if underWay[read.id] != nil { validating.append(read.portion) }
    return afterAnswer(&read, ticket: ticket, now: now)
  }

  private mutating func afterAnswer(
    _ read: inout PortionRead, ticket: UInt64, now: UInt64
  ) -> Step {
    if let thawed { return fail(&read, .thawed(thawed)) }
    guard questions.serves(ticket) else {
      let need = "its place cannot be validated"
      if let step = failInOutage(&read, for: need, now: now) { return step }
      if questions.isUnderWay { return wait(&read, now: now) }
      // When the last question failed a moment ago, asking at once is vain.
      if now < retryTime { return expired(&read, now: now) ?? .pause(until: retryTime) }
      guard checks.serves(foundTicket) else { return check(&read, now: now) }
      guard let question = beginQuestion(now: now) else { return wait(&read, now: now) }
      read.waitDeadline = nil
      setDeadline(&read, now: now)
      return .ask(question)
    }
    read.waitDeadline = nil
    guard let inStep else {
      read.lastFailure = unanswered
      if let step = expired(&read, now: now) { return step }
      read.hasAsked = false
      read.resumeTime = retryTime
      // Bytes that are at hand may pass yet: perhaps the check only fell between
      // the writes of one commit.
      if underWay[read.id] == nil {
        read.phase = .planning
      } else {
        read.phase = .checking(ticket: checks.nextTicket)
      }
      return .pause(until: retryTime)
    }
    // Once something failed, no answer makes the read wait for longer.
    if read.lastFailure == nil { read.deadline = nil }
    guard let registration = underWay[read.id] else {
      read.phase = .planning
      return next(&read, now: now)
    }
    guard !registration.isOvertaken, registration.plan.media.isSubset(of: inStep) else {
      return discard(&read, now: now)
    }
    return accept(&read, now: now)
  }

  /// The mapping held when the bytes were read: they are the image's, unless the
  /// medium itself is damaged.
  private mutating func accept(_ read: inout PortionRead, now: UInt64) -> Step {
    guard case .damaged(let damage) = read.outcome else { return finish(&read) }
    read.damage = damage
    retreat(&read)
    return readThrough(&read, damage.reason, now: now)
  }

  private mutating func discard(_ read: inout PortionRead, now: UInt64) -> Step {
    statistics.discardedReads += 1
    read.vainAttempts += 1
    retreat(&read)
    if read.vainAttempts >= limits.attempts {
      return readThrough(&read, "its place keeps changing", now: now)
    }
    return next(&read, now: now)
  }

  /// Takes a read back to where it has no plan.
  private mutating func retreat(_ read: inout PortionRead) {
    underWay[read.id] = nil
    read.plan = nil
    read.hasAsked = false
    read.hasLooked = false
    read.phase = .planning
  }

  private mutating func readThrough(
    _ read: inout PortionRead, _ reason: String, now: UInt64
  ) -> Step {
    if let step = failInOutage(&read, for: reason, now: now) { return step }
    setDeadline(&read, now: now)
    read.callBegan = now
    read.phase = .readingThrough(reason: reason)
    return .readThrough(reason: reason)
  }

  /// Takes the outcome of reading the portion through the production host.
  public mutating func readThrough(
    _ read: inout PortionRead, failed error: SourceError?, now: UInt64
  ) {
    guard case .readingThrough = read.phase else { return }
    switch error {
    case nil:
      noteAnswer(now: now)
      statistics.reads += 1
      statistics.productionHostBytes += UInt64(read.portion.range.count)
      read.phase = .finished
    case .thawed(let reason):
      thawed = reason
      _ = fail(&read, .thawed(reason))
    case .failed(let reason):
      _ = fail(&read, .unreadable(reason))
    case .unreachable(let reason):
      noteFailure(SourceError.unreachable(reason).description, began: read.callBegan, now: now)
      comeBack(&read, after: reason, now: now)
      read.vainAttempts = 0
    }
  }

  /// From now on the read waits for the production host.
  private func setDeadline(_ read: inout PortionRead, now: UInt64) {
    if read.deadline == nil { read.deadline = now + limits.remapTimeout }
  }

  /// Fails the read when it has waited for as long as it may.
  private mutating func expired(_ read: inout PortionRead, now: UInt64) -> Step? {
    setDeadline(&read, now: now)
    guard let deadline = read.deadline, now >= deadline else { return nil }
    let reason = read.lastFailure ?? unanswered ?? "no answer came in time"
    return fail(&read, .unreadable("its place cannot be validated: \(reason)"))
  }

  private mutating func finish(_ read: inout PortionRead) -> Step {
    underWay[read.id] = nil
    statistics.reads += 1
    for piece in read.plan?.pieces ?? [] {
      let count = piece.range.upperBound - piece.range.lowerBound
      switch piece.source {
      case .media: statistics.storageBytes += count
      case .compressed:
        statistics.storageBytes += count
        statistics.decodedBytes += count
      case .productionHost: statistics.productionHostBytes += count
      case .inline: statistics.representationBytes += count
      case .zeros, .unreadable: break
      }
    }
    read.phase = .finished
    return .finished
  }

  mutating func fail(_ read: inout PortionRead, _ error: ReadError) -> Step {
    underWay[read.id] = nil
    statistics.errors += 1
    read.phase = .failed(error)
    return .failed(error)
  }
}
