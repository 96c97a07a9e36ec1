import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

/// One read at a time, step by step: what a read does when something is missing.
@Suite struct ReadRuleTests {
  let volume = SimulatedVolume(blockCount: 4, placeCount: 4)

  func rule(
    validation: Validation = .witness, _ change: (inout ReadRule.Limits) -> Void = { _ in }
  ) throws -> ReadRule {
    var limits = ReadRule.Limits()
    change(&limits)
    return ReadRule(
      state: MappingState(
        configurationID: volume.configurationID(of: 10), cursor: SimulatedVolume.bytes(of: 10)),
      map: try volume.map, media: try volume.descriptions, validation: validation,
      limits: limits
    ).withEveryMediumOpen()
  }

  func begin(_ rule: ReadRule, _ extents: [FileExtent]? = nil) -> PortionRead {
    rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: extents ?? [volume.extent(of: 0)], checksummed: []))
  }

  /// Takes a read to where its data was read and the check did not match.
  private func fetchUnderANewWitness(_ rule: inout ReadRule, _ read: inout PortionRead) throws {
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 11), unreadable: [])
  }

  struct Unexpected: Error {}

  func answer(
    generation: UInt64 = 11, changes: MappingAnswer.Changes = .ranges([]),
    behind: Set<MediumID> = []
  ) -> MappingAnswer {
    MappingAnswer(
      state: MappingState(
        configurationID: volume.configurationID(of: generation),
        cursor: SimulatedVolume.bytes(of: generation)),
      changes: changes, volume: nil, behind: behind, located: [])
  }

  @Test func holesNeedNoWitness() throws {
    var rule = try rule()
    var read = begin(rule, [])
    guard case .fetch(let plan) = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(plan.pieces.map(\.source) == [.zeros])
    rule.fetched(&read, .complete, now: 0)
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.witnessChecks == 0)
  }

  @Test func anUnchangedWitnessAcceptsWithoutAQuestion() throws {
    var rule = try rule()
    var read = begin(rule)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.questions == 0)
    #expect(rule.statistics.storageBytes == 4096)
  }

  @Test func anAnswerThatDoesNotNameThePortionAccepts() throws {
    var rule = try rule()
    var read = begin(rule)
    try fetchUnderANewWitness(&rule, &read)
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.answered(.success(answer()), to: question, now: 0)
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.discardedReads == 0)
  }

  /// A volume that moved away and back between two questions: the places are equal, and
  /// what was read there meanwhile may be anybody's.
  @Test func equalPlacesProveNothingWhenStatesWereSkipped() throws {
    for skips in [false, true] {
      var rule = try rule()
      var read = begin(rule)
      try fetchUnderANewWitness(&rule, &read)
      guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
      let now = answer()
      let moved = MappingAnswer(
        state: now.state, changes: now.changes,
        volume: MappingAnswer.Volume(
          map: try volume.map, media: try volume.descriptions, skipsStates: skips),
        behind: [], located: [])
      rule.answered(.success(moved), to: question, now: 0)
      if case .finished = rule.next(&read, now: 0) { #expect(!skips) } else { #expect(skips) }
      #expect(rule.statistics.discardedReads == (skips ? 1 : 0))
    }
  }

  @Test func aMediumThatIsBehindProvesNothing() throws {
    var rule = try rule()
    var read = begin(rule)
    try fetchUnderANewWitness(&rule, &read)
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    let behind: Set<MediumID> = [SimulatedVolume.media[0]]
    rule.answered(.success(answer(behind: behind)), to: question, now: 0)
    guard case .fetch(let plan) = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(plan.pieces.map(\.source) == [.productionHost])
    #expect(rule.statistics.discardedReads == 1)
  }

  /// What was found before the known state came would make every medium seem behind.
  @Test func aQuestionTellsWhatWasFoundAfterTheLastAnswer() throws {
    var rule = try rule()
    var read = begin(rule)
    try fetchUnderANewWitness(&rule, &read)
    guard case .ask(let first) = rule.next(&read, now: 0) else { throw Unexpected() }
    let changes = MappingAnswer.Changes.ranges([read.portion.keys])
    rule.answered(.success(answer(generation: 12, changes: changes)), to: first, now: 0)
    // Its place is unknown now, so it asks at once, but looks before.
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 12), unreadable: [])
    guard case .ask(let second) = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(second.known.configurationID == volume.configurationID(of: 12))
    #expect(second.found == volume.configurationID(of: 12))
  }

  /// While every medium is lost no read checks by itself.
  @Test func aMediumThatWasBehindIsLookedAtAgain() throws {
    var rule = try rule()
    var read = begin(rule)
    try fetchUnderANewWitness(&rule, &read)
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    let behind = Set(SimulatedVolume.media)
    rule.answered(.success(answer(behind: behind)), to: question, now: 0)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: 0)
    var later = begin(rule)
    let now = rule.limits.retryInterval
    guard case .check = rule.next(&later, now: now) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 12), unreadable: [])
    guard case .ask(let again) = rule.next(&later, now: now) else { throw Unexpected() }
    #expect(again.found == volume.configurationID(of: 12))
    rule.answered(.success(answer(generation: 12)), to: again, now: now)
    guard case .fetch(let plan) = rule.next(&later, now: now) else { throw Unexpected() }
    #expect(plan.readsMedia)
  }

  @Test func withoutAnAnswerAReadFailsAfterTheTimeoutAndNotBefore() throws {
    var rule = try rule { $0.remapTimeout = 1000 * $0.retryInterval }
    var read = begin(rule)
    try fetchUnderANewWitness(&rule, &read)
    var now: UInt64 = 0
    var failure: ReadError?
    while failure == nil, now < 2000 * rule.limits.retryInterval {
      switch rule.next(&read, now: now) {
      case .ask(let question):
        rule.answered(.failure(.unreachable("no route")), to: question, now: now)
      case .check: rule.checked(found: volume.configurationID(of: 11), unreadable: [])
      case .pause(let until): now = until
      case .failed(let error): failure = error
      default: throw Unexpected()
      }
    }
    #expect(now == 1000 * rule.limits.retryInterval)
    guard case .unreadable(let reason)? = failure else { throw Unexpected() }
    #expect(reason.contains("no route"))
  }

  /// A check of a medium whose path hangs takes longer than the time between looks.
  @Test func aSlowLookAtALostMediumDoesNotLeadToTheNext() throws {
    var rule = try rule()
    var first = begin(rule)
    guard case .fetch = rule.next(&first, now: 0) else { throw Unexpected() }
    rule.fetched(&first, .complete, now: 0)
    guard case .check = rule.next(&first, now: 0) else { throw Unexpected() }
    let lost: Set<MediumID> = [SimulatedVolume.media[1]]
    rule.checked(found: volume.configurationID(of: 10), unreadable: lost)
    var read = begin(rule)
    var now: UInt64 = 0
    for _ in 0..<3 {
      now += 10 * rule.limits.retryInterval
      switch rule.next(&read, now: now) {
      case .check: rule.checked(found: volume.configurationID(of: 10), unreadable: lost)
      case .fetch: return
      default: throw Unexpected()
      }
    }
    Issue.record("one look led to the next")
  }

  @Test func aCheckThatNeverComesBackFailsTheReadsThatWaitForIt() throws {
    var rule = try rule()
    var hanging = begin(rule)
    guard case .fetch = rule.next(&hanging, now: 0) else { throw Unexpected() }
    rule.fetched(&hanging, .complete, now: 0)
    guard case .check = rule.next(&hanging, now: 0) else { throw Unexpected() }
    var read = begin(rule)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: 0)
    guard case .pause(let until) = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(until == rule.limits.roundTimeout)
    guard case .failed(.unreadable) = rule.next(&read, now: until) else { throw Unexpected() }
  }

  @Test func aThawedImageFailsEveryLaterRead() throws {
    var rule = try rule()
    var read = begin(rule)
    try fetchUnderANewWitness(&rule, &read)
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.answered(.failure(.thawed("gone")), to: question, now: 0)
    guard case .failed(.thawed) = rule.next(&read, now: 0) else { throw Unexpected() }
    var later = begin(rule)
    guard case .failed(.thawed) = rule.next(&later, now: 0) else { throw Unexpected() }
  }

  @Test func damageUnderAValidMappingIsReadThroughTheProductionHost() throws {
    var rule = try rule()
    var read = begin(rule)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .damaged(.init(reason: "bad block")), now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .readThrough(let reason) = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(reason == "bad block")
    rule.readThrough(&read, failed: nil, now: 0)
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.productionHostBytes == 4096)
  }

  @Test func aReadThatNeverFindsRestIsReadThroughTheProductionHost() throws {
    var rule = try rule { $0.attempts = 3 }
    var read = begin(rule)
    for generation in 11..<40 as Range<UInt64> {
      switch rule.next(&read, now: 0) {
      case .fetch: rule.fetched(&read, .complete, now: 0)
      case .check: rule.checked(found: volume.configurationID(of: generation), unreadable: [])
      case .ask(let question):
        rule.answered(
          .success(answer(generation: generation, changes: .everything)), to: question, now: 0)
      case .readThrough: return
      default: throw Unexpected()
      }
    }
    Issue.record("the read went on and on")
  }

  /// Unless its own metadata prove that all copies are in sync.
  @Test(arguments: [CopyState.unknown, .inSync])
  func aMirrorWithoutChecksumsIsReadThroughTheProductionHost(state: CopyState) throws {
    let mirror = try StoreExtent(
      offset: 0, length: 4096, columns: 1, copies: 2, stripeLength: 4096,
      targets: [
        StoreAddress(store: StoreID(rawValue: 1), offset: 0),
        StoreAddress(store: StoreID(rawValue: 2), offset: 0),
      ], copyState: state)
    let map = try StoreMap(
      stores: try volume.map.stores, extents: [StoreID(rawValue: 0): [mirror]])
    var rule = ReadRule(
      state: MappingState(configurationID: volume.configurationID(of: 10), cursor: []), map: map,
      media: try volume.descriptions
    ).withEveryMediumOpen()
    let extent = FileExtent(
      offset: 0, length: 4096,
      source: .stored(StoreAddress(store: StoreID(rawValue: 0), offset: 0)))
    var read = begin(rule, [extent])
    guard case .fetch(let plan) = rule.next(&read, now: 0) else { throw Unexpected() }
    let copies = SimulatedVolume.media.map { MediumAddress(medium: $0, offset: 0) }
    #expect(plan.pieces.map(\.source) == [state == .inSync ? .media(copies) : .productionHost])

    var checked = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: [extent], checksummed: [0..<4096]))
    guard case .fetch(let checkedPlan) = rule.next(&checked, now: 0) else { throw Unexpected() }
    #expect(checkedPlan.media == Set(SimulatedVolume.media))
  }
}
