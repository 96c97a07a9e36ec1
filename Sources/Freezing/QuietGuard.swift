import CLinuxIO
import Glibc
import HostSystem

/// The process beside a backup that has applications rest: it runs the hook before and, in any
/// case, the hook behind: when everything is frozen, when the limit is reached, when the backup
/// is gone. A process of its own, in a session of its own, so that no signal to the backup ends
/// it (`QuietPeriod` talks to it).
package enum QuietGuard {
  /// The first argument of a program that is to stand guard.
  package static let command = "quiet-guard"

  /// What the guard tells, a line each.
  enum Report: Hashable {
    /// The applications rest.
    case held
    /// They do not: why.
    case refused(String)
    /// They go on again.
    case ended(nanoseconds: UInt64, wasForced: Bool, hook: String)

    var line: String {
      switch self {
      case .held: "held\n"
      case .refused(let reason): "refused \(reason)\n"
      case .ended(let time, let wasForced, let hook):
        "ended \(time) \(wasForced ? 1 : 0) \(hook)\n"
      }
    }

    init?(_ line: Substring) {
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
      switch words.first {
      case "held": self = .held
      case "refused": self = .refused(String(line.dropFirst(8)))
      case "ended":
        guard words.count == 4, let time = UInt64(words[1]) else { return nil }
        self = .ended(nanoseconds: time, wasForced: words[2] == "1", hook: String(words[3]))
      default: return nil
      }
    }
  }

  /// Stands guard until the applications go on again.
  ///
  /// - Parameters:
  ///   - before: the command that has applications rest; empty for none.
  ///   - behind: the command that has them go on; empty for none.
  ///   - limit: nanoseconds for which they rest at the most. The hook behind has as long again.
  ///   - socket: connected with the backup.
  /// - Returns: the process' exit status.
  package static func stand(
    before: String, behind: String, limit: UInt64, socket: Int32 = 3
  ) -> Int32 {
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE] { signal(number, SIG_IGN) }
    // A caller may have it ignored: then nobody is told how a child ended.
    signal(SIGCHLD, SIG_DFL)
    let begin = MonotonicClock.now()
    let end = begin + limit
    var problem: String?
    if !before.isEmpty {
      problem = sentence(
        Hook(command: before).run(until: end, isUnwanted: { isGone(socket) }), limit,
        of: "the hook before the freeze")
    }
    var wasForced = false
    if problem == nil {
      tell(.held, socket)
      wasForced = !isReleased(socket, until: end)
    }
    // Also when the hook before failed: it may have begun.
    let left =
      behind.isEmpty
      ? nil
      : sentence(
        Hook(command: behind).run(until: MonotonicClock.now() + limit), limit,
        of: "the hook behind the freeze")
    if let problem {
      tell(.refused(left.map { "\(problem), and \($0)" } ?? problem), socket)
    } else {
      tell(
        .ended(
          nanoseconds: MonotonicClock.now() - begin, wasForced: wasForced, hook: left ?? ""),
        socket)
    }
    return EXIT_SUCCESS
  }

  /// What went wrong with a hook; `nil` when nothing did.
  static func sentence(_ ending: Hook.Ending, _ limit: UInt64, of hook: String) -> String? {
    switch ending {
    case .exited(0): nil
    case .exited(let status): "\(hook) ended with exit status \(status)"
    case .killed: "\(hook) was killed, as it took longer than \(limit / 1_000_000_000) s"
    case .notStarted: "\(hook) cannot be started"
    }
  }

  private static func tell(_ report: Report, _ socket: Int32) {
    let line = Array(report.line.utf8)
    // Who is gone needs no word.
    _ = send(socket, line, line.count, Int32(MSG_NOSIGNAL))
  }

  private static func isGone(_ socket: Int32) -> Bool {
    var request = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    return poll(&request, 1, 0) > 0 && request.revents & Int16(POLLHUP) != 0
  }

  /// Waits for the backup's word; `false` when the time is over or the backup gone.
  private static func isReleased(_ socket: Int32, until end: UInt64) -> Bool {
    while true {
      let now = MonotonicClock.now()
      guard now < end else { return false }
      var request = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      let ready = poll(&request, 1, Int32(clamping: (end - now) / 1_000_000 + 1))
      if ready < 0, errno == EINTR { continue }
      guard ready > 0 else { return false }
      var byte: UInt8 = 0
      return read(socket, &byte, 1) == 1
    }
  }
}
