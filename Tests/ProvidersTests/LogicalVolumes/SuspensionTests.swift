import Glibc
import Testing

@testable import LogicalVolumeProvider

/// A clock that an expectation can let go on.
private final class Looks {
  private(set) var clock: SuspensionClock

  init(limit: UInt64) { clock = SuspensionClock(limit: limit) }

  func look(isSuspended: Bool, at now: UInt64, status: Int32?) -> Bool {
    clock.look(isSuspended: isSuspended, at: now, status: status)
  }
}

/// What a guard concludes from what it sees of an origin.
@Suite struct SuspensionTests {
  @Test("A suspension that reached the limit is forced, although another ended it")
  func another() {
    let looks = Looks(limit: 10)
    #expect(!looks.look(isSuspended: true, at: 100, status: nil))
    #expect(!looks.look(isSuspended: true, at: 110, status: nil))
    #expect(!looks.look(isSuspended: false, at: 111, status: nil))
    #expect(looks.clock.wasForced && looks.clock.quiet == 11)
  }

  @Test("Short suspensions add up and force nothing")
  func short() {
    let looks = Looks(limit: 10)
    for begin in [100, 200, 300] as [UInt64] {
      #expect(!looks.look(isSuspended: true, at: begin, status: nil))
      #expect(looks.clock.isSuspended)
      #expect(!looks.look(isSuspended: false, at: begin + 9, status: nil))
    }
    #expect(!looks.clock.isSuspended && !looks.clock.wasForced && looks.clock.quiet == 27)
  }

  @Test("At the limit the device is resumed, again and again until it goes on")
  func limit() {
    let looks = Looks(limit: 10)
    #expect(!looks.look(isSuspended: true, at: 100, status: nil))
    #expect(looks.look(isSuspended: true, at: 111, status: nil))
    #expect(looks.look(isSuspended: true, at: 112, status: nil))
    #expect(looks.clock.wasForced)
  }

  @Test("What a command that failed leaves suspended is resumed at once")
  func left() {
    let looks = Looks(limit: 10)
    #expect(!looks.look(isSuspended: false, at: 100, status: nil))
    // It began and the command was killed between two looks.
    #expect(looks.look(isSuspended: true, at: 101, status: 137))
    #expect(looks.clock.isSuspended && looks.clock.wasForced)
  }

  @Test("A suspension that began after the command had ended is somebody else's")
  func foreign() {
    let looks = Looks(limit: 10)
    #expect(!looks.look(isSuspended: false, at: 100, status: 5))
    for time in [101, 200] as [UInt64] {
      #expect(!looks.look(isSuspended: true, at: time, status: 5))
    }
    #expect(!looks.clock.isSuspended && !looks.clock.wasForced && looks.clock.quiet == 0)
  }

  @Test("What a guard tells is read as it was written, and half a line is none")
  func outcome() throws {
    let told = SuspensionGuard.Outcome(
      status: 5, quiet: 1_234_567, wasForced: true, output: "a word; another")
    let read = try #require(SuspensionGuard.Outcome(told.line))
    #expect(read.status == 5 && read.quiet == 1_234_567 && read.wasForced)
    #expect(read.output == "a word; another")
    for line in ["", "5", "5 x 1 y", "5 1 1"] {
      #expect(SuspensionGuard.Outcome(line) == nil, "\(line)")
    }
  }

  @Test("A child of which nobody can tell how it ended has ended")
  func noChild() {
    // This process is no child of its own.
    #expect(SuspensionGuard.ended(getpid()) == 127)
  }
}
