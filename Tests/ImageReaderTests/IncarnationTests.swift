import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

/// Media that are lost, replaced or found again while a read is at work.
@Suite struct IncarnationTests {
  private let volume = SimulatedVolume(blockCount: 4, placeCount: 4)
  /// Where the block that is read lies.
  private let medium = SimulatedVolume.media[0]
  private struct Unexpected: Error {}

  private func rule() throws -> ReadRule {
    ReadRule(
      state: volume.state(of: 10), map: try volume.map, media: try volume.descriptions
    ).withEveryMediumOpen()
  }

  /// Begins a read and fetches its bytes.
  private func fetch(_ rule: inout ReadRule) throws -> PortionRead {
    var read = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(extents: [volume.extent(of: 0)], checksummed: []))
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    let used = [medium: try #require(rule.incarnation(of: medium))]
    rule.fetched(&read, .complete, from: used, now: 0)
    return read
  }

  private var answer: MappingAnswer {
    MappingAnswer(
      state: volume.state(of: 11), changes: .ranges([]), volume: nil, behind: [], located: [])
  }

  /// The check after the read looks at another device, and matches.
  @Test func bytesOfAMediumThatWasReplacedAreThrownAwayAndCountedOnce() throws {
    var rule = try rule()
    var read = try fetch(&rule)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    _ = rule.beginIncarnation(of: medium)
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.reads == 0 && rule.statistics.discardedReads == 1)
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.reads == 1 && rule.statistics.storageBytes == 4096)
  }

  /// Between the check and the read's next step there is time for a search to end.
  @Test func aCheckProvesNothingOnceItsMediumWasReplaced() throws {
    var rule = try rule()
    var read = try fetch(&rule)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 10), unreadable: [])
    _ = rule.beginIncarnation(of: medium)
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.discardedReads == 1)
  }

  /// A check under way read the witness of a device that has just been replaced.
  @Test func aCheckOfTheOldDeviceDoesNotAccept() throws {
    var rule = try rule()
    var read = try fetch(&rule)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    var findings = WitnessFindings()
    for entry in volume.configurationID(of: 10).entries {
      findings.witnesses.append(
        WitnessFindings.Witness(
          medium: entry.medium, bytes: entry.bytes,
          incarnation: try #require(rule.incarnation(of: entry.medium))))
    }
    _ = rule.beginIncarnation(of: SimulatedVolume.media[1])
    rule.checked(findings)
    // The read's own medium is the same, but a check has to find the state on all of them.
    guard case .ask = rule.next(&read, now: 0) else { throw Unexpected() }
  }

  /// The question names the witness of the old device; the answer says nothing of the new one.
  @Test(arguments: [false, true])
  func anAnswerDoesNotAcceptBytesOfAMediumThatWasReplaced(isReplaced: Bool) throws {
    var rule = try rule()
    var read = try fetch(&rule)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: volume.configurationID(of: 11), unreadable: [])
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    if isReplaced { _ = rule.beginIncarnation(of: medium) }
    rule.answered(.success(answer), to: question, now: 0)
    let step = rule.next(&read, now: 0)
    if case .finished = step { #expect(!isReplaced) } else { #expect(isReplaced) }
    #expect(rule.statistics.discardedReads == (isReplaced ? 1 : 0))
  }

  /// A read that begins anew has waited all the same.
  @Test func aReadThatIsThrownAwayKeepsItsDeadline() throws {
    var rule = try rule()
    var read = try fetch(&rule)
    let timeout = rule.limits.remapTimeout
    var now: UInt64 = 0
    for _ in 0..<100_000 {
      switch rule.next(&read, now: now) {
      case .fetch: rule.fetched(&read, .complete, now: now)
      case .check: rule.checked(found: volume.configurationID(of: 11), unreadable: [])
      case .ask(let question):
        rule.answered(.failure(.unreachable("no route")), to: question, now: now)
        // Each time when it has waited for a third of what it may.
        if now % (timeout / 3) < rule.limits.retryInterval {
          _ = rule.beginIncarnation(of: medium)
        }
      case .pause(let until): now = until
      case .failed:
        #expect(now == timeout)
        #expect(rule.statistics.errors == 1 && rule.statistics.discardedReads > 1)
        return
      default: throw Unexpected()
      }
    }
    Issue.record("the read went on and on")
  }
}
