public import FrozenImage

// What the rounds bring: the outcomes of checks and questions, applied for all
// reads at once.

extension ReadRule {
  /// Takes what a witness check found.
  ///
  /// - Parameters:
  ///   - found: the witness bytes of every medium that could be read.
  ///   - unreadable: the media that could not be read, or are not the ones that
  ///     the image names.
  public mutating func checked(found: ConfigurationID, unreadable: Set<MediumID>) {
    guard checks.isUnderWay else { return }
    checks.finish()
    defer { checkIsVoid = false }
    self.found = found
    self.unreadable = unreadable
    let entries = known.configurationID.entries
    if !checkIsVoid, entries.allSatisfy({ found[$0.medium] == $0.bytes }) {
      matched = Set(entries.map(\.medium))
      behind = []
    } else {
      matched = []
    }
  }

  /// Takes the outcome of a question.
  ///
  /// - Parameters:
  ///   - question: the question that `next` gave.
  ///   - now: nanoseconds of the driver's clock.
  public mutating func answered(
    _ result: Result<MappingAnswer, SourceError>, to question: MappingQuestion, now: UInt64
  ) {
    guard questions.isUnderWay else { return }
    questions.finish()
    switch result {
    case .success(let answer):
      statistics.questions += 1
      unanswered = nil
      noteAnswer(now: now)
      apply(answer, to: question)
      lookTime = now + limits.retryInterval
    case .failure(let error):
      inStep = nil
      unanswered = error.description
      retryTime = now + limits.retryInterval
      // A refusal leaves reads without an answer just as silence does.
      if case .thawed(let reason) = error {
        thawed = reason
      } else {
        noteFailure(error.description, began: questionBegan, now: now)
      }
    }
  }

  private mutating func apply(_ answer: MappingAnswer, to question: MappingQuestion) {
    let oldMap = map
    if let volume = answer.volume {
      map = volume.map
      remapMemory.mapHasChanged = true
      if media != volume.media, checks.isUnderWay { checkIsVoid = true }
      media = volume.media
    }
    for (id, registration) in underWay {
      // Compared down to the media, as any link of the chain may have moved.
      let stored = registration.plan.stored
      let isTouched =
        answer.changes.touch(registration.keys)
        || answer.volume.map {
          $0.skipsStates && !stored.isEmpty || oldMap.places(of: stored) != map.places(of: stored)
        } ?? false
      if isTouched { underWay[id]?.isOvertaken = true }
    }
    overlay.invalidate(answer.changes)
    for located in answer.located { overlay.insert(located) }
    if known.configurationID != answer.state.configurationID {
      statistics.configurationChanges += 1
    }
    known = answer.state
    foundTicket = checks.nextTicket
    behind = answer.behind
    // A medium is in step when its witness could be read, the provider did not
    // object to it, and the volume still has it.
    inStep = Set(
      question.found.entries.lazy.map(\.medium).filter {
        !answer.behind.contains($0) && answer.state.configurationID[$0] != nil
      })
    matched = []
  }
}

extension ReadRule {
  /// Where a portion lies as far as known now; `nil` when it would have to be asked
  /// for.
  public func place(of portion: Portion, content: PortionContent) -> ReadPlan? {
    var planner = Planner(portion: portion, content: content, map: map, lost: lost)
    return planner.plan(with: overlay)
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

/// Tells whether a portion lies elsewhere than when it was last read, so that a
/// remap is counted only when the mapping really differs.
struct RemapMemory: Sendable {
  static let limit = 65536

  /// The map of the representation, which says where everything lay at first.
  let map: StoreMap
  /// Whether a later map came since.
  var mapHasChanged = false
  /// Digests of the places where portions lay when they were last read.
  private var lastPlaces: [Portion: Int] = [:]

  init(map: StoreMap) {
    self.map = map
  }

  /// Whether the plan's places differ from those of the last plan of the portion.
  mutating func isNews(
    _ plan: ReadPlan, of read: PortionRead, map: StoreMap, overlay: Overlay
  ) -> Bool {
    guard !plan.stored.isEmpty, mapHasChanged || overlay.changed.intersects(read.portion.keys)
    else { return false }
    let places = digest(of: plan.stored, in: map)
    let before: Int
    if let last = lastPlaces[read.portion] {
      before = last
    } else {
      var planner = Planner(
        portion: read.portion, content: read.content, map: self.map, lost: [])
      before = digest(of: planner.plan(with: Overlay())?.stored ?? [], in: self.map)
    }
    if lastPlaces.count >= Self.limit { lastPlaces = [:] }
    lastPlaces[read.portion] = places
    return places != before
  }

  private func digest(of runs: [ReadPlan.StoreRun], in map: StoreMap) -> Int {
    var hasher = Hasher()
    hasher.combine(map.places(of: runs))
    return hasher.finalize()
  }
}
