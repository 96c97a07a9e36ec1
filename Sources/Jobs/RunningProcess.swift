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

  /// Nanoseconds from SIGTERM to SIGKILL.
  private static let grace: UInt64 = 10_000_000_000
  /// Bytes of a line; of a longer one the rest is another line.
  private static let maximumLine = 4096

  private let child: Int32
  private let output: Int32

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

  /// Waits for the end of it and of all that it started. Blocks.
  ///
  /// - Parameters:
  ///   - limit: nanoseconds that it may take.
  ///   - isCancelled: asked twice a second; it does other regular work, too.
  ///   - line: gets each line of the output.
  func wait(
    within limit: UInt64, isCancelled: () -> Bool, line take: (String) -> Void
  ) -> Ending {
    let began = MonotonicClock.now()
    var lines = LineBuffer(limit: Self.maximumLine)
    var early: Ending?
    var killTime = UInt64.max
    while !ChildProcess.hasEnded(child) {
      let now = MonotonicClock.now()
      if early == nil {
        if isCancelled() { early = .cancelled } else if now - began > limit { early = .timedOut }
        if early != nil {
          kill(-child, SIGTERM)
          killTime = now + Self.grace
        }
      }
      if now > killTime { kill(-child, SIGKILL) }
      if !read(into: &lines, take) { usleep(50_000) }
    }
    // Its session's number is its own until it was waited for.
    kill(-child, SIGKILL)
    while read(into: &lines, take, waiting: 0) {}
    lines.end(take)
    close(output)
    let status = ChildProcess.wait(for: child)
    return early ?? .exited(status)
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
