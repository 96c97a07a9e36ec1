import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

/// Media that may be others than the production host's: their witness proves nothing.
@Suite struct DoubtTests {
  private let tests = ReadRuleTests()
  private struct Unexpected: Error {}

  /// Takes a read to where its bytes are there, and a check found the known state.
  private func fetchUnderTheKnownWitness(
    _ rule: inout ReadRule, _ read: inout PortionRead
  ) throws {
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: tests.volume.configurationID(of: 10), unreadable: [])
  }

  @Test func nothingIsReadWithoutTheRule() throws {
    var rule = try tests.rule()
    let epoch = try #require(rule.epoch)
    rule.setDoubt(false)
    #expect(rule.epochNumber == epoch.number)
    rule.setDoubt(true)
    #expect(rule.epochNumber != epoch.number && rule.epoch == nil)
    let number = rule.epochNumber
    rule.setDoubt(false)
    #expect(rule.epochNumber != number && rule.epoch != nil)
  }

  @Test func theWitnessDoesNotAcceptAndAnAnswerDoes() throws {
    var rule = try tests.rule()
    rule.setDoubt(true)
    var read = tests.begin(rule)
    try fetchUnderTheKnownWitness(&rule, &read)
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.answered(.success(tests.answer(generation: 10)), to: question, now: 0)
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    // And again once nobody doubts it.
    rule.setDoubt(false)
    var next = tests.begin(rule)
    try fetchUnderTheKnownWitness(&rule, &next)
    guard case .finished = rule.next(&next, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.questions == 1)
  }

  @Test func withoutAnAnswerAReadFailsWithTheDoubt() throws {
    var rule = try tests.rule { $0.remapTimeout = 1000 }
    rule.setDoubt(true)
    var read = tests.begin(rule)
    try fetchUnderTheKnownWitness(&rule, &read)
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.answered(.failure(.failed("they are clones")), to: question, now: 1000)
    guard case .failed(.unreadable(let reason)) = rule.next(&read, now: 1000) else {
      throw Unexpected()
    }
    #expect(reason.contains("they are clones"))
  }

  /// Bytes that a check proved, but that nobody took yet; and an answer that was made from the
  /// media before anybody doubted them.
  @Test func whatIsUnderWayIsThrownAway() throws {
    var rule = try tests.rule()
    var read = tests.begin(rule)
    try fetchUnderTheKnownWitness(&rule, &read)
    rule.setDoubt(true)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }

    var asking = try tests.rule()
    var waiting = tests.begin(asking)
    guard case .fetch = asking.next(&waiting, now: 0) else { throw Unexpected() }
    asking.fetched(&waiting, .complete, now: 0)
    guard case .check = asking.next(&waiting, now: 0) else { throw Unexpected() }
    asking.checked(found: tests.volume.configurationID(of: 11), unreadable: [])
    guard case .ask(let question) = asking.next(&waiting, now: 0) else { throw Unexpected() }
    asking.setDoubt(true)
    asking.answered(.success(tests.answer()), to: question, now: 0)
    guard case .fetch = asking.next(&waiting, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.discardedReads == 1 && asking.statistics.discardedReads == 1)
  }

  /// A read without the lock, whose bytes the rule takes over.
  @Test func whatWasReadInAnEpochIsThrownAway() throws {
    var rule = try tests.rule()
    let epoch = try #require(rule.epoch)
    let portion = Portion(inode: 1, range: 0..<4096)
    let content = PortionContent(extents: [tests.volume.extent(of: 0)], checksummed: [])
    let plan = try #require(epoch.plan(portion, content: content))
    rule.setDoubt(true)
    var read = rule.takeOver(
      portion, content: content, plan, .complete, from: rule.incarnations, in: epoch)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.discardedReads == 1)
  }
}
