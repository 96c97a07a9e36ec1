public import FrozenImage

// A read's way to a plan, and on to its next step (see ReadRule.swift).

extension ReadRule {
  /// Begins a read of a portion.
  public func begin(_ portion: Portion, content: PortionContent) -> PortionRead {
    PortionRead(portion: portion, content: content)
  }

  /// What the read has to do next. It is not to be called between a step that fetches or reads
  /// through, and its outcome.
  ///
  /// - Parameter now: nanoseconds of a clock that never goes back.
  public mutating func next(_ read: inout PortionRead, now: UInt64) -> Step {
    switch read.phase {
    case .planning(let planning): return plan(&read, planning, now: now)
    case .locating(let planning, let ticket):
      return afterAnswer(&read, planning, ticket: ticket, now: now)
    case .checking(let bytes, let ticket):
      return afterCheck(&read, bytes, ticket: ticket, now: now)
    case .validating(let bytes, let ticket):
      return afterAnswer(&read, bytes, ticket: ticket, now: now)
    case .fetching, .readingThrough:
      preconditionFailure("a read goes on when the outcome of its last step was told")
    case .finished: return .finished
    case .failed(let error): return .failed(error)
    }
  }

  private mutating func plan(
    _ read: inout PortionRead, _ planning: PortionRead.Planning, now: UInt64
  ) -> Step {
    if let thawed { return fail(&read, .thawed(thawed)) }
    let resumeTime = read.patience.resumeTime
    if now < resumeTime { return expired(&read, now: now) ?? .pause(until: resumeTime) }
    let lost = lost
    if let step = lookAtLostMedia(&read, planning, lost: lost, now: now) { return step }
    contact.forgetRefusal(unlessOf: lost)
    guard let plan = place(of: read.portion, content: read.content, lost: lost) else {
      return locate(&read, planning, now: now)
    }
    if let place = plan.firstUnreadable {
      return fail(
        &read,
        .unreadable(
          "inode \(read.portion.inode) could not be read at byte \(place) when the image was "
            + "frozen"))
    }
    if plan.needsProductionHost {
      let need = "only the production host can read it here"
      if let step = failInOutage(&read, for: need, now: now) { return step }
      read.patience.needHost(now: now, limits: limits)
    }
    lastReadID += 1
    underWay[lastReadID] = Registration(keys: read.portion.keys, plan: plan)
    read.lastPlace = plan.firstPlace ?? read.lastPlace
    read.phase = .fetching(
      PortionRead.Fetch(id: lastReadID, plan: plan, lacksMedia: !lost.isEmpty, callBegan: now))
    return .fetch(plan)
  }

  /// Where a portion lies as far as known now; `nil` when it would have to be asked
  /// for.
  public func place(of portion: Portion, content: PortionContent) -> ReadPlan? {
    place(of: portion, content: content, lost: lost)
  }

  private func place(
    of portion: Portion, content: PortionContent, lost: Set<MediumID>
  ) -> ReadPlan? {
    var planner = Planner(
      portion: portion, content: content, map: map, lost: lost, mapIsNew: mapIsNew)
    return planner.plan(with: overlay)
  }

  /// Looks now and then whether media that were lost are usable again.
  private mutating func lookAtLostMedia(
    _ read: inout PortionRead, _ planning: PortionRead.Planning, lost: Set<MediumID>, now: UInt64
  ) -> Step? {
    if lookout.takeLook(of: witness.checks) {
      // A medium that the known state does not list, but that can be read, was late
      // when the provider looked.
      let wasLate = media.contains {
        known.configurationID[$0.id] == nil && witness.found[$0.id] != nil
      }
      // Only a question can tell which media are in step.
      if questions.unanswered == nil, wasLate || witness.someAreBehind {
        return locate(&read, planning, asksForPlace: false, now: now)
      }
    }
    guard !planning.hasLooked, !lost.isEmpty, lookout.mayLook(at: now), beginCheck() else {
      return nil
    }
    var planning = planning
    planning.hasLooked = true
    read.phase = .planning(planning)
    lookout = .looking(check: witness.checks.begun, until: now + limits.retryInterval)
    return .check
  }

  /// Asks where the portion lies, which is not known.
  private mutating func locate(
    _ read: inout PortionRead, _ planning: PortionRead.Planning, now: UInt64
  ) -> Step {
    if let step = failInOutage(&read, for: "its place is not known", now: now) { return step }
    if planning.hasAsked { read.patience.addVainAttempt() }
    if read.patience.vainAttempts >= limits.attempts {
      return readThrough(&read, "its place keeps changing", now: now)
    }
    return locate(&read, planning, asksForPlace: true, now: now)
  }

  private mutating func locate(
    _ read: inout PortionRead, _ planning: PortionRead.Planning, asksForPlace: Bool, now: UInt64
  ) -> Step {
    if let step = failInOutage(&read, for: Self.validationNeed, now: now) { return step }
    var planning = planning
    if asksForPlace {
      planning.hasAsked = true
      questions.want(read.portion)
    }
    let ticket = questions.rounds.nextTicket
    read.phase = .locating(planning, ticket: ticket)
    return afterAnswer(&read, planning, ticket: ticket, now: now)
  }

  private mutating func afterAnswer(
    _ read: inout PortionRead, _ planning: PortionRead.Planning, ticket: UInt64, now: UInt64
  ) -> Step {
    switch answer(for: &read, ticket: ticket, now: now) {
    case .step(let step): return step
    case .unanswered(let retryTime):
      var planning = planning
      planning.hasAsked = false
      read.phase = .planning(planning)
      return .pause(until: retryTime)
    case .answered:
      read.phase = .planning(planning)
      return next(&read, now: now)
    }
  }
}
