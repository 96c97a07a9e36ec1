import CLinuxIO
import Glibc

/// The process beside one that freezes a file system (`WriterBarrier`): it thaws the file
/// system when that one dies, or takes too long.
///
/// It is a process of its own, in a session of its own, so that neither SIGKILL nor a
/// terminal's Ctrl-C that ends the other one ends it. It opens and writes nothing while
/// the file system is frozen.
public enum ThawGuard {
  /// Nanoseconds from the begin of a freeze on after which it is thawed in any case.
  private static let limit: UInt64 = 20_000_000_000

  /// What the two processes tell each other, a byte each.
  enum Word: UInt8 {
    /// The guard stands.
    case ready = 0x72
    /// From now on the file system may be frozen.
    case freezing = 0x66
    /// It is not: the kernel refused.
    case notFrozen = 0x6E
    /// It is thawed.
    case done = 0x64

    func send(_ socket: Int32) {
      var byte = rawValue
      // Who is gone needs no word.
      _ = Glibc.send(socket, &byte, 1, Int32(MSG_NOSIGNAL))
    }
  }

  /// Stands guard until the other process says that it is done, or is gone.
  ///
  /// - Parameters:
  ///   - directory: the path of a directory of the file system.
  ///   - socket: connected with the process that freezes.
  /// - Returns: the process' exit status.
  public static func stand(over directory: String, socket: Int32 = 3) -> Int32 {
    for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE] { signal(number, SIG_IGN) }
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return EXIT_FAILURE }
    Word.ready.send(socket)
    /// When the freeze is thawed in any case; `nil` while nothing is frozen.
    var deadline: UInt64?
    while true {
      let now = MonotonicClock.now()
      switch next(socket, wait: deadline.map { $0 > now ? ($0 - now) / 1_000_000 + 1 : 0 }) {
      case .word(.freezing): deadline = now + limit
      case .word(.notFrozen): deadline = nil
      case .word: return EXIT_SUCCESS
      case .silence:
        // Until it is frozen as a whole it cannot be thawed, so this is tried again.
        deadline = floe_thaw(descriptor) == 0 ? nil : now + 100_000_000
      case .gone:
        // A process is gone only after its calls came back.
        if deadline != nil { _ = floe_thaw(descriptor) }
        return EXIT_SUCCESS
      }
    }
  }

  private enum Event {
    case word(Word)
    case silence
    case gone
  }

  /// - Parameter milliseconds: how long a word is waited for; `nil` for ever.
  private static func next(_ socket: Int32, wait milliseconds: UInt64?) -> Event {
    var request = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    let ready = poll(&request, 1, milliseconds.map { Int32(clamping: $0) } ?? -1)
    if ready == 0 { return .silence }
    var byte: UInt8 = 0
    guard ready > 0, read(socket, &byte, 1) == 1, let word = Word(rawValue: byte) else {
      return errno == EINTR && ready < 0 ? next(socket, wait: milliseconds) : .gone
    }
    return .word(word)
  }
}
