import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

// Volumes whose witness proves nothing: reads are validated by questions alone.

extension ReadRuleTests {
  /// Where no witness is ordered with what changes, a witness that stayed the same
  /// proves nothing: the question names the portion, and its answer decides.
  @Test func withoutAWitnessEveryReadIsValidatedByAQuestionThatNamesIt() throws {
    for isChanged in [false, true] {
      var rule = try rule(validation: .question)
      var read = begin(rule)
      guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
      rule.fetched(&read, .complete, now: 0)
      guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
      rule.checked(found: volume.configurationID(of: 10), unreadable: [])
      guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
      #expect(question.validating == [read.portion])
      #expect(question.portions.isEmpty)
      let changes = MappingAnswer.Changes.ranges(isChanged ? [read.portion.keys] : [])
      rule.answered(.success(answer(generation: 10, changes: changes)), to: question, now: 0)
      let step = rule.next(&read, now: 0)
      if case .finished = step { #expect(!isChanged) } else { #expect(isChanged) }
      #expect(rule.statistics.discardedReads == (isChanged ? 1 : 0))
    }
  }

  /// A question that was under way when a read's data came does not serve it.
  @Test func aQuestionThatBeganBeforeTheDataWasReadDoesNotValidateIt() throws {
    var rule = try rule(validation: .question)
    var early = begin(rule)
    var late = begin(rule)
    guard case .fetch = rule.next(&early, now: 0), case .fetch = rule.next(&late, now: 0) else {
      throw Unexpected()
    }
    rule.fetched(&early, .complete, now: 0)
    guard case .check = rule.next(&early, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .ask(let first) = rule.next(&early, now: 0) else { throw Unexpected() }
    rule.fetched(&late, .complete, now: 0)
    guard case .check = rule.next(&late, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .pause = rule.next(&late, now: 0) else { throw Unexpected() }
    rule.answered(.success(answer(generation: 10)), to: first, now: 0)
    guard case .finished = rule.next(&early, now: 0) else { throw Unexpected() }
    // It looks at the media after the last answer, and asks for itself.
    if case .check = rule.next(&late, now: 0) {
      rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    }
    guard case .ask(let second) = rule.next(&late, now: 0) else { throw Unexpected() }
    #expect(second.validating == [late.portion])
  }
}
