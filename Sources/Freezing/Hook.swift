import CLinuxIO
import Glibc
import HostSystem

/// A command of the administrator, run by sh(1) in a session of its own; what it says goes to
/// standard error.
struct Hook {
  /// How it ended.
  enum Ending: Hashable {
    case exited(Int32)
    /// It took too long, and was killed with all that it started.
    case killed
    case notStarted
  }

  let command: String

  /// Runs it, and kills it when its time is over, or when nobody waits for it any more.
  ///
  /// - Parameter end: of `MonotonicClock`.
  func run(until end: UInt64, isUnwanted: () -> Bool = { false }) -> Ending {
    // Not our own standard error: the child's is opened anew first.
    let errors = dup(2)
    defer { if errors >= 0 { close(errors) } }
    guard
      let child = ChildProcess.spawn(
        "/bin/sh", ["sh", "-c", command], flags: floe_posix_spawn_setsid(), isMute: true,
        output: errors >= 0 ? errors : nil, joinsErrors: true)
    else { return .notStarted }
    var isKilled = false
    while !ChildProcess.hasEnded(child) {
      if MonotonicClock.now() >= end || isUnwanted() {
        kill(-child, SIGKILL)
        isKilled = true
      }
      usleep(5000)
    }
    let status = ChildProcess.wait(for: child)
    return isKilled ? .killed : .exited(status)
  }
}
