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
    self.found = found
    self.unreadable = unreadable
    let entries = known.configurationID.entries
    if entries.allSatisfy({ found[$0.medium] == $0.bytes }) {
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
      apply(answer, to: question)
      lookTime = now + limits.retryInterval
    case .failure(let error):
      inStep = nil
      unanswered = error.description
      retryTime = now + limits.retryInterval
      if case .thawed(let reason) = error { thawed = reason }
    }
  }

  private mutating func apply(_ answer: MappingAnswer, to question: MappingQuestion) {
    var vanished: [ReadPlan.StoreRun] = []
    if let volume = answer.volume {
      vanished = volume.map.runsMissing(from: map)
      map = volume.map
      remapMemory.mapHasChanged = true
      media = volume.media
    }
    for (id, registration) in underWay {
      let isTouched =
        answer.changes.touch(registration.keys)
        || registration.plan.stored.contains { run in
          vanished.contains { $0.store == run.store && $0.range.overlaps(run.range) }
        }
      if isTouched { underWay[id]?.isOvertaken = true }
    }
    overlay.invalidate(answer.changes)
    for located in answer.located { overlay.insert(located) }
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
  /// The runs of stores that another map has and this one has not, or has otherwise.
  fileprivate func runsMissing(from old: StoreMap) -> [ReadPlan.StoreRun] {
    var missing: [ReadPlan.StoreRun] = []
    for (store, run) in old.extents {
      let kept = Set(extents[store] ?? [])
      for extent in run where !kept.contains(extent) {
        missing.append(ReadPlan.StoreRun(store: store, range: extent.offset..<extent.end))
      }
    }
    return missing
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
  private var lastPlaces: [Portion: [StoreMap.PhysicalRun]] = [:]

  init(map: StoreMap) {
    self.map = map
  }

  /// Whether the plan's places differ from those of the last plan of the portion.
  mutating func isNews(
    _ plan: ReadPlan, of read: PortionRead, map: StoreMap, overlay: Overlay
  ) -> Bool {
    guard !plan.stored.isEmpty, mapHasChanged || overlay.changed.intersects(read.portion.keys)
    else { return false }
    let places = self.places(of: plan.stored, in: map)
    let before: [StoreMap.PhysicalRun]
    if let last = lastPlaces[read.portion] {
      before = last
    } else {
      var planner = Planner(
        portion: read.portion, content: read.content, map: self.map, lost: [])
      before = self.places(of: planner.plan(with: Overlay())?.stored ?? [], in: self.map)
    }
    if lastPlaces.count >= Self.limit { lastPlaces = [:] }
    lastPlaces[read.portion] = places
    return places != before
  }

  private func places(
    of runs: [ReadPlan.StoreRun], in map: StoreMap
  ) -> [StoreMap.PhysicalRun] {
    runs.flatMap { run in
      let address = StoreAddress(store: run.store, offset: run.range.lowerBound)
      return (try? map.resolve(address, length: run.range.upperBound - run.range.lowerBound)) ?? []
    }
  }
}
