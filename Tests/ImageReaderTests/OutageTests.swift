import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

/// A production host that gives no answer for a whole timeout: later reads fail at once,
/// until it answers a question that is asked in the background.
@Suite struct OutageTests {
  private let volume = SimulatedVolume(blockCount: 4, placeCount: 4)
  private struct Unexpected: Error {}

  private func rule(validation: Validation = .witness) throws -> ReadRule {
    var limits = ReadRule.Limits()
    limits.remapTimeout = 30 * limits.retryInterval
    return ReadRule(
      state: volume.state(of: 10), map: try volume.map, media: try volume.descriptions,
      validation: validation, limits: limits
    ).withEveryMediumOpen()
  }

  /// Reads a block of a file to its end, while the media show another state and a call to
  /// the production host takes some time and fails.
  ///
  /// - Returns: how the read ended, and when.
  private func read(
    _ rule: inout ReadRule, from start: UInt64, failing error: SourceError,
    lasting duration: UInt64 = 0, extents: [FileExtent]? = nil,
    unreadable: Set<MediumID> = []
  ) throws -> (ReadRule.Step, at: UInt64) {
    var now = start
    var read = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: extents ?? [volume.extent(of: 0)], checksummed: []))
    for _ in 0..<10_000 {
      switch rule.next(&read, now: now) {
      case .fetch(let plan):
        let isThrough = plan.pieces.contains { $0.source == .productionHost }
        if isThrough { now += duration }
        rule.fetched(&read, isThrough ? .sourceFailed(error) : .complete, now: now)
      case .check:
        let found = volume.configurationID(of: 11)
        rule.checked(
          found: unreadable.isEmpty ? found : ConfigurationID(entries: []),
          unreadable: unreadable)
      case .ask(let question):
        now += duration
        rule.answered(.failure(error), to: question, now: now)
      case .readThrough:
        now += duration
        rule.readThrough(&read, failed: error, now: now)
      case .pause(let until): now = until
      case let step: return (step, now)
      }
    }
    throw Unexpected()
  }

  /// The first file waits, as something may still come; the next thousand do not.
  @Test(arguments: [
    SourceError.unreachable("no route"), .failed("it has no such volume any more"),
  ])
  func onlyTheFirstReadWaits(_ error: SourceError) throws {
    var rule = try rule()
    let timeout = rule.limits.remapTimeout
    guard case (.failed(.unreadable), let end) = try read(&rule, from: 0, failing: error) else {
      throw Unexpected()
    }
    #expect(end == timeout)
    for _ in 0..<20 {
      guard
        case (.failed(.unreadable(let reason)), let later) =
          try read(&rule, from: end, failing: error)
      else { throw Unexpected() }
      #expect(later == end)
      #expect(reason.contains(error.description))
    }
    #expect(rule.statistics.errors == 21)
  }

  /// Nothing tells that nobody answers: each call takes a whole timeout. One such call may
  /// be that of a host that is busy.
  @Test func aSilentHostIsNotWaitedForAThirdTime() throws {
    var rule = try rule()
    let timeout = rule.limits.remapTimeout
    let silence = SourceError.unreachable("it did not answer in time")
    let (_, first) = try read(&rule, from: 0, failing: silence, lasting: timeout)
    #expect(first == timeout)
    let (_, end) = try read(&rule, from: first, failing: silence, lasting: timeout)
    #expect(end >= 2 * timeout && end < 3 * timeout)
    let (step, later) = try read(&rule, from: end, failing: silence, lasting: timeout)
    guard case .failed(.unreadable) = step else { throw Unexpected() }
    #expect(later == end)
  }

  /// Bytes that only the production host can give are reads that need it, too.
  @Test func readsThroughAHostThatIsGoneFailAtOnceToo() throws {
    var rule = try rule()
    let encoded = [FileExtent(offset: 0, length: 4096, source: .encoded)]
    let error = SourceError.unreachable("no route")
    let (_, end) = try read(&rule, from: 0, failing: error, extents: encoded)
    #expect(end == rule.limits.remapTimeout)
    let (step, later) = try read(&rule, from: end, failing: error, extents: encoded)
    guard case .failed(.unreadable) = step else { throw Unexpected() }
    #expect(later == end)
  }

  /// A medium that neither host can read: it may be back in a moment, but not for each file
  /// anew.
  @Test func aLostMediumThatTheHostCannotReadEitherIsNotWaitedForTwice() throws {
    var rule = try rule()
    let error = SourceError.failed("Input/output error")
    let lost = Set(SimulatedVolume.media)
    _ = rule.beginCheck()
    rule.checked(found: ConfigurationID(entries: []), unreadable: lost)
    let (first, end) = try read(&rule, from: 0, failing: error, unreadable: lost)
    guard case .failed(.unreadable) = first else { throw Unexpected() }
    #expect(end == rule.limits.remapTimeout)
    let (second, later) = try read(&rule, from: end, failing: error, unreadable: lost)
    guard case .failed(.unreadable) = second else { throw Unexpected() }
    #expect(later == end)
    // It comes back, and is lost again: that may be for a moment, again.
    _ = rule.beginCheck()
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    var between = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: [volume.extent(of: 0)], checksummed: []))
    guard case .fetch = rule.next(&between, now: end) else { throw Unexpected() }
    _ = rule.beginCheck()
    rule.checked(found: ConfigurationID(entries: []), unreadable: lost)
    let (_, last) = try read(&rule, from: end, failing: error, unreadable: lost)
    #expect(last == end + rule.limits.remapTimeout)
  }

  /// What the media still prove needs nobody.
  @Test func readsUnderTheKnownWitnessGoOn() throws {
    var rule = try rule()
    let (_, end) = try read(&rule, from: 0, failing: .unreachable("no route"))
    #expect(rule.outage(at: end) != nil)
    var read = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: [volume.extent(of: 0)], checksummed: []))
    guard case .fetch = rule.next(&read, now: end) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: end)
    guard case .check = rule.next(&read, now: end) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .finished = rule.next(&read, now: end) else { throw Unexpected() }
  }

  @Test func anAnswerInTheBackgroundEndsTheOutage() throws {
    var rule = try rule()
    let error = SourceError.unreachable("no route")
    let (_, end) = try read(&rule, from: 0, failing: error)
    let begins = (0..<2).map { _ in rule.beginProbing(now: end) }
    #expect(begins == [true, false])
    var now = end
    for isAnswered in [false, true] {
      guard case .pause(let until) = rule.nextProbe(now: now) else { throw Unexpected() }
      #expect(until > now && until <= now + rule.limits.probeInterval)
      now = until
      guard case .ask(let question) = rule.nextProbe(now: now) else { throw Unexpected() }
      // While it is asked, and however long that takes, nobody waits for it.
      let (step, later) = try read(&rule, from: now, failing: error)
      guard case .failed(.unreadable) = step, later == now else { throw Unexpected() }
      rule.answered(
        isAnswered ? .success(answer) : .failure(error), to: question, now: now)
    }
    guard case .end = rule.nextProbe(now: now) else { throw Unexpected() }
    #expect(rule.outage(at: now) == nil)
    var read = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: [volume.extent(of: 0)], checksummed: []))
    guard case .fetch = rule.next(&read, now: now) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: now)
    guard case .check = rule.next(&read, now: now) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 11), unreadable: [])
    guard case .finished = rule.next(&read, now: now) else { throw Unexpected() }
  }

  /// Without a thread for it nobody asks in the background, and a read has to.
  @Test func longAfterTheLastTryAReadAsksAgain() throws {
    var rule = try rule(validation: .question)
    let (_, end) = try read(&rule, from: 0, failing: .unreachable("no route"))
    var waiting = rule.begin(
      Portion(inode: 2, range: 0..<4096),
      content: PortionContent(extents: [volume.extent(of: 0)], checksummed: []))
    let now = end + 11 * rule.limits.probeInterval
    guard case .fetch = rule.next(&waiting, now: now) else { throw Unexpected() }
    rule.fetched(&waiting, .complete, now: now)
    guard case .check = rule.next(&waiting, now: now) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .ask(let question) = rule.next(&waiting, now: now) else { throw Unexpected() }
    #expect(question.validating == [waiting.portion])
  }

  private var answer: MappingAnswer {
    MappingAnswer(
      state: volume.state(of: 11), changes: .ranges([]), volume: nil, behind: [], located: [])
  }
}
