import CLinuxIO
import FrozenImage
import Glibc

/// Starting programs. A process that has threads is not forked: posix_spawn(3).
public enum ChildProcess {
  /// Runs a program found on the PATH and returns its exit status; 127 when it
  /// could not be started.
  public static func run(_ program: String, _ arguments: [String]) -> Int32 {
    guard let child = spawn(program, arguments) else { return 127 }
    return wait(for: child)
  }

  /// Waits for a child to end; a death by signal counts as 128 and the signal, an end that
  /// nobody can tell of (waitpid(2): a parent that ignores SIGCHLD) as 127.
  public static func wait(for child: Int32) -> Int32 {
    var status: Int32 = 0
    var ended: pid_t
    repeat { ended = waitpid(child, &status, 0) } while ended < 0 && errno == EINTR
    guard ended == child else { return 127 }
    let signal = status & 0x7F
    return signal == 0 ? status >> 8 & 0xFF : 128 + signal
  }

  /// Whether a child has ended; somebody has to wait for it all the same.
  package static func hasEnded(_ child: Int32) -> Bool {
    var information = siginfo_t()
    return waitid(P_PID, id_t(child), &information, WEXITED | WNOHANG | WNOWAIT) == 0
      && information.si_signo == SIGCHLD
  }

  /// Whether a child ends within some nanoseconds; nobody has to wait for it then.
  package static func ends(_ child: Int32, within nanoseconds: UInt64) -> Bool {
    let process = floe_pidfd_open(child)
    defer { if process >= 0 { close(process) } }
    let deadline = MonotonicClock.now() + nanoseconds
    var hasEnded = process < 0
    while !hasEnded {
      let now = MonotonicClock.now()
      let rest = now < deadline ? (deadline - now) / 1_000_000 + 1 : 0
      var request = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
      hasEnded = poll(&request, 1, Int32(clamping: rest)) > 0
      guard hasEnded || rest > 0 else { return false }
    }
    _ = wait(for: child)
    return true
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - descriptor: one of ours that the child gets as number 3.
  ///   - output: one of ours that the child gets as its standard output.
  ///   - isMute: whether the child has no standard input, output and error.
  ///   - joinsErrors: whether the child's standard error goes to `output` as well.
  public static func spawn(
    _ program: String, _ arguments: [String], flags: Int16 = 0, keeping descriptor: Int32? = nil,
    isMute: Bool = false, output: Int32? = nil, joinsErrors: Bool = false
  ) -> Int32? {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, flags)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, 3) }
    for standard in 0..<3 as Range<Int32> where isMute {
      posix_spawn_file_actions_addopen(&actions, standard, "/dev/null", O_RDWR, 0)
    }
    if let output {
      posix_spawn_file_actions_adddup2(&actions, output, 1)
      if joinsErrors { posix_spawn_file_actions_adddup2(&actions, output, 2) }
    }
    // A caller's open files, its locks with them, are not the child's.
    _ = withUnsafeMutablePointer(to: &actions) {
      floe_posix_spawn_close_from($0, descriptor == nil ? 3 : 4)
    }
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map {
      PathText.withCString($0) { strdup($0) }
    }
    defer { for word in words { free(word) } }
    words.append(nil)
    var child: pid_t = 0
    let result = posix_spawnp(&child, program, &actions, &attributes, words, floe_environment())
    return result == 0 ? child : nil
  }
}
