public import FrozenImage

// What the rounds bring: the outcomes of checks and questions, applied for all
// reads at once.

extension ReadRule {
  /// Takes what the witness check that is under way found.
  public mutating func checked(_ findings: WitnessFindings) {
    let lost = lost
    witness.checked(findings, known: known.configurationID)
    if self.lost != lost { endEpoch() }
  }

  /// Takes the outcome of the question that is under way.
  ///
  /// - Parameters:
  ///   - question: the question that `next` gave.
  ///   - now: nanoseconds of the driver's clock.
  public mutating func answered(
    _ result: Result<MappingAnswer, SourceError>, to question: MappingQuestion, now: UInt64
  ) {
    let asked = questions.finish()
    switch result {
    case .success(let answer):
      statistics.questions += 1
      contact.noteAnswer(now: now)
      apply(answer)
      // A medium is in step when its witness could be read, the provider did not
      // object to it, and the volume still has it.
      questions.note(
        .answered(
          inStep: asked.foundOn.filter {
            !answer.behind.contains($0.key) && answer.state.configurationID[$0.key] != nil
          }))
      lookout.rest(until: now + limits.retryInterval)
    case .failure(let error):
      questions.note(
        .unanswered(reason: error.description, retryTime: now + limits.retryInterval))
      // A refusal leaves reads without an answer just as silence does.
      if case .thawed(let reason) = error {
        thawed = reason
      } else {
        noteFailure(error, began: asked.began, now: now)
      }
    }
  }

  private mutating func apply(_ answer: MappingAnswer) {
    let mediaChanged = answer.volume.map { $0.media != media } ?? false
    if let volume = answer.volume {
      map = volume.map
      mapIsNew = true
      media = volume.media
    }
    for (id, registration) in underWay {
      // Compared down to the media, as any link of the chain may have moved.
      let plan = registration.plan
      let isTouched =
        answer.changes.touch(registration.keys)
        || answer.volume.map {
          $0.skipsStates && !plan.stored.isEmpty || plan.places != map.places(of: plan.stored)
        } ?? false
      if isTouched { underWay[id]?.isOvertaken = true }
    }
    overlay.invalidate(answer.changes)
    for located in answer.located { overlay.insert(located) }
    if known.configurationID != answer.state.configurationID {
      statistics.configurationChanges += 1
    }
    known = answer.state
    endEpoch()
    witness.answered(behind: answer.behind, mediaChanged: mediaChanged)
  }
}

extension StoreMap {
  /// Where runs of stores lie on the media; `nil` when a part lies nowhere.
  fileprivate func places(of runs: [ReadPlan.StoreRun]) -> [PhysicalRun]? {
    var places: [PhysicalRun] = []
    for run in runs {
      let address = StoreAddress(store: run.store, offset: run.range.lowerBound)
      let length = run.range.upperBound - run.range.lowerBound
      guard let found = try? resolve(address, length: length) else { return nil }
      places += found
    }
    return places
  }
}
