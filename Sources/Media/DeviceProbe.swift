import Glibc
import HostSystem
import Synchronization

/// Whether block devices answer at all.
///
/// A device whose storage is gone may hold a read for ever (a multipath map that queues
/// while no path is left), and nothing ends that wait, not even SIGKILL. A search that
/// looks at every device of a host must not hang on one that it is not even after; nor may
/// the end of this process, so it is another process that asks.
public enum DeviceProbe {
  /// How long a device may take to answer, and how long one that answered is believed to be
  /// able to; nanoseconds.
  private static let patience: UInt64 = 5_000_000_000
  private static let trust: UInt64 = 60_000_000_000

  private enum Answer {
    /// When it came (`MonotonicClock`).
    case came(UInt64)
    /// Who still waits for it.
    case missing(pid_t)
  }

  private static let answers = Mutex<[String: Answer]>([:])

  /// Reads the first bytes of a device in another process.
  ///
  /// - Returns: whether that ended, well or not, within five seconds; `true` as well when
  ///   no process could be started. A device that was asked before and has not answered yet
  ///   is not asked again.
  public static func answers(_ path: String) -> Bool {
    answers.withLock { answers in
      switch answers[path] {
      case .came(let time) where MonotonicClock.now() < time + trust: return true
      case .missing(let reader) where !ChildProcess.ends(reader, within: 0): return false
      default: break
      }
      // dd(1) of coreutils: past the page cache, which may still have these bytes.
      let arguments = ["dd", "if=\(path)", "of=/dev/null", "bs=4096", "count=1", "iflag=direct"]
      guard let reader = ChildProcess.spawn("dd", arguments, isMute: true) else { return true }
      guard ChildProcess.ends(reader, within: patience) else {
        answers[path] = .missing(reader)
        return false
      }
      answers[path] = .came(MonotonicClock.now())
      return true
    }
  }
}
