import CLinuxIO
import FrozenImage
import Glibc
import HostSystem

/// A program that runs for a job, with all that it starts: a session of its own, whose output
/// comes line by line.
struct RunningProcess {
  /// How it ended.
  enum Ending: Hashable {
    /// By itself, or by a signal of somebody else (128 and its number).
    case exited(Int32)
    case timedOut
    case cancelled
  }

  /// What is read of the output of a program that has ended, 16 KiB each: more than a pipe holds,
  /// and not all that a process that left its session goes on to say.
  private static let lastReads = 16
  /// Bytes of a line; of a longer one the rest is another line.
  private static let maximumLine = 4096

  private let child: Int32
  private let output: Int32
  /// Nanoseconds from SIGTERM to SIGKILL, from there to the last resort, and from there until it is
  /// left alone.
  var grace: UInt64 = 10_000_000_000
  /// kill(2).
  var signal: (Int32, Int32) -> Void = { _ = kill($0, $1) }

  /// Starts it; `nil` when the system does not.
  init?(_ program: String, _ words: [String]) {
    var pipe: [Int32] = [0, 0]
    guard Glibc.pipe(&pipe) == 0 else { return nil }
    for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let child = ChildProcess.spawn(
      program, words, flags: floe_posix_spawn_setsid(), isMute: true, output: pipe[1],
      joinsErrors: true)
    close(pipe[1])
    guard let child else {
      close(pipe[0])
      return nil
    }
    self.child = child
    output = pipe[0]
  }

  /// Waits for the end of it and of its session. Blocks.
  ///
  /// One that not even SIGKILL ends, as it waits for a disk or a mount, is left behind.
  ///
  /// - Parameters:
  ///   - limit: nanoseconds that it may take.
  ///   - isCancelled: asked twice a second; it does other regular work, too.
  ///   - lastResort: called once when SIGKILL does not end it: ends what it waits for.
  ///   - line: gets each line of the output.
  func wait(
    within limit: UInt64, isCancelled: () -> Bool, lastResort: () -> Void = {},
    line take: (String) -> Void
  ) -> Ending {
    let began = MonotonicClock.now()
    var lines = LineBuffer(limit: Self.maximumLine)
    var early: (ending: Ending, time: UInt64)?
    var isLastResortTaken = false
    while !ChildProcess.hasEnded(child) {
      let now = MonotonicClock.now()
      if let early {
        let waited = now - early.time
        if waited > grace { signal(-child, SIGKILL) }
        if waited / 2 > grace, !isLastResortTaken {
          isLastResortTaken = true
          lastResort()
        }
        if waited / 3 > grace {
          leave(&lines, take)
          return early.ending
        }
      } else if let ending = reason(isCancelled(), now - began > limit) {
        signal(-child, SIGTERM)
        early = (ending, now)
      }
      if !read(into: &lines, take) { usleep(50_000) }
    }
    // Its session's number is its own until it was waited for.
    kill(-child, SIGKILL)
    end(&lines, take)
    let status = ChildProcess.wait(for: child)
    return early?.ending ?? .exited(status)
  }

  /// Why it is ended early; `nil` when it is not.
  private func reason(_ isCancelled: Bool, _ isTimeOver: Bool) -> Ending? {
    isCancelled ? .cancelled : isTimeOver ? .timedOut : nil
  }

  private func end(_ lines: inout LineBuffer, _ take: (String) -> Void) {
    var reads = 0
    while reads < Self.lastReads, read(into: &lines, take, waiting: 0) { reads += 1 }
    lines.end(take)
    close(output)
  }

  /// Has somebody else wait for it.
  private func leave(_ lines: inout LineBuffer, _ take: (String) -> Void) {
    end(&lines, take)
    take("floe: the process \(child) cannot be ended, and is left behind")
    let child = child
    try? Thread.detach { _ = ChildProcess.wait(for: child) }
  }

  /// - Returns: whether there was something.
  private func read(
    into lines: inout LineBuffer, _ take: (String) -> Void, waiting milliseconds: Int32 = 500
  ) -> Bool {
    var request = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    guard poll(&request, 1, milliseconds) > 0 else { return milliseconds > 0 }
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = Glibc.read(output, &bytes, bytes.count)
    guard count > 0 else { return false }
    lines.add(bytes[..<count], take)
    return true
  }
}

/// Makes lines of bytes.
struct LineBuffer {
  /// Bytes of a line at the most.
  let limit: Int
  private var bytes: [UInt8] = []

  init(limit: Int) { self.limit = limit }

  mutating func add(_ more: some Sequence<UInt8>, _ take: (String) -> Void) {
    for byte in more {
      // Progress bars go back to the begin of their line.
      if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
        if !bytes.isEmpty { end(take) }
      } else {
        bytes.append(byte)
        if bytes.count >= limit { end(take) }
      }
    }
  }

  /// Gives what is left.
  mutating func end(_ take: (String) -> Void) {
    guard !bytes.isEmpty else { return }
    take(PathText.text(of: bytes))
    bytes = []
  }
}
