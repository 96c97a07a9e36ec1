import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

/// What reads without the rule's lock rely on, and when that ends.
@Suite struct EpochTests {
  private let volume = SimulatedVolume(blockCount: 4, placeCount: 4)
  private let media = SimulatedVolume.media
  private struct Unexpected: Error {}
  private let portion = Portion(inode: 1, range: 0..<4096)

  private func rule() throws -> ReadRule {
    ReadRule(
      state: volume.state(of: 10), map: try volume.map, media: try volume.descriptions
    ).withEveryMediumOpen()
  }

  private var content: PortionContent {
    PortionContent(extents: [volume.extent(of: 0)], checksummed: [])
  }

  /// What a check finds in a rule's media when they show a generation.
  private func findings(_ rule: ReadRule, _ generation: UInt64) throws -> WitnessFindings {
    var findings = WitnessFindings()
    for entry in volume.configurationID(of: generation).entries {
      findings.witnesses.append(
        WitnessFindings.Witness(
          medium: entry.medium, bytes: entry.bytes,
          incarnation: try #require(rule.incarnation(of: entry.medium))))
    }
    return findings
  }

  @Test func aCheckThatFindsTheStateOnTheSameMediaProvesTheBytes() throws {
    let rule = try rule()
    let epoch = try #require(rule.epoch)
    let used = [media[0]: try #require(rule.incarnation(of: media[0]))]
    #expect(epoch.plan(portion, content: content)?.media == [media[0]])
    #expect(epoch.confirms(try findings(rule, 10), of: used))
    #expect(!epoch.confirms(try findings(rule, 11), of: used))
    // Bytes that came from nowhere are nobody's.
    #expect(!epoch.confirms(try findings(rule, 10), of: [:]))
    var half = try findings(rule, 10)
    half.witnesses.removeLast()
    #expect(!epoch.confirms(half, of: used))
    half.unreadable = [media[1]]
    #expect(!epoch.confirms(half, of: used))
  }

  @Test func aMediumThatWasReplacedProvesNothing() throws {
    var rule = try rule()
    let epoch = try #require(rule.epoch)
    let old = [media[0]: try #require(rule.incarnation(of: media[0]))]
    let before = try findings(rule, 10)
    _ = rule.beginIncarnation(of: media[0])
    #expect(rule.epochNumber != epoch.number)
    let new = [media[0]: try #require(rule.incarnation(of: media[0]))]
    #expect(!epoch.confirms(try findings(rule, 10), of: old))
    #expect(!epoch.confirms(try findings(rule, 10), of: new))
    // Bytes of the new device, and a check that looked at the old one.
    #expect(try #require(rule.epoch).confirms(findings(rule, 10), of: new))
    #expect(!(try #require(rule.epoch).confirms(before, of: new)))
  }

  @Test func anAnswerEndsTheEpoch() throws {
    var rule = try rule()
    let epoch = try #require(rule.epoch)
    let isBegun = rule.beginCheck()
    #expect(isBegun)
    rule.checked(try findings(rule, 11))
    #expect(rule.epochNumber == epoch.number)
    let asked = rule.beginQuestion(now: 0)
    let question = try #require(asked)
    rule.answered(
      .success(
        MappingAnswer(
          state: volume.state(of: 11), changes: .ranges([portion.keys]), volume: nil, behind: [],
          located: [])), to: question, now: 0)
    #expect(rule.epochNumber != epoch.number)
    let next = try #require(rule.epoch)
    #expect(next.known == volume.state(of: 11))
    // Its place is not known any more: the rule asks for it.
    #expect(next.plan(portion, content: content) == nil)
  }

  @Test func whatIsLostOrThawedIsLeftToTheRule() throws {
    var rule = try rule()
    let epoch = try #require(rule.epoch)
    let isBegun = rule.beginCheck()
    #expect(isBegun)
    var lost = WitnessFindings()
    lost.unreadable = [media[1]]
    rule.checked(lost)
    #expect(rule.epochNumber != epoch.number)
    #expect(rule.epoch == nil)

    var thawed = try self.rule()
    let before = thawed.epochNumber
    let begun = thawed.beginQuestion(now: 0)
    let question = try #require(begun)
    thawed.answered(.failure(.thawed("it was given up")), to: question, now: 0)
    #expect(thawed.epochNumber != before)
    #expect(thawed.epoch == nil)
    let asked = ReadRule(
      state: volume.state(of: 10), map: try volume.map, media: try volume.descriptions,
      validation: .question)
    #expect(asked.epoch == nil)
  }

  /// What the rule does with a read that an epoch did not prove.
  @Test func theRuleTakesOverWhatNothingOvertook() throws {
    var rule = try rule()
    let epoch = try #require(rule.epoch)
    let plan = try #require(epoch.plan(portion, content: content))
    let used = [media[0]: try #require(rule.incarnation(of: media[0]))]
    var read = rule.takeOver(
      portion, content: content, plan, .complete, from: used, in: epoch)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(try findings(rule, 10))
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.reads == 1 && rule.statistics.discardedReads == 0)
  }

  @Test func whatWasOvertakenIsThrownAway() throws {
    var rule = try rule()
    let epoch = try #require(rule.epoch)
    let plan = try #require(epoch.plan(portion, content: content))
    let used = [media[0]: try #require(rule.incarnation(of: media[0]))]
    _ = rule.beginIncarnation(of: media[1])
    var read = rule.takeOver(
      portion, content: content, plan, .complete, from: used, in: epoch)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.discardedReads == 1)
  }

  /// A device that failed for a check beside the rule's is lost for everybody, until a round
  /// finds it again.
  @Test func aLossThatSomebodySawIsTheRules() throws {
    var rule = try rule()
    let epoch = try #require(rule.epoch)
    rule.lose([media[1]])
    #expect(rule.epochNumber != epoch.number)
    #expect(rule.epoch == nil && rule.lost == [media[1]])
    let isBegun = rule.beginCheck()
    #expect(isBegun)
    rule.checked(try findings(rule, 10))
    #expect(rule.lost.isEmpty && rule.epoch != nil)
  }
}
