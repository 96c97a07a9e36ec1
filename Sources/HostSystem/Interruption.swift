public import FrozenImage
import Glibc
import Synchronization

/// The wish of a user (SIGINT), of a system that shuts down (SIGTERM) or of a terminal that
/// went away (SIGHUP) that work which would leave something behind ends, tidily.
///
/// The first signal is only noted; who works looks for it now and then, and takes back what was
/// made. The second one ends the process at once.
public enum Interruption {
  private static let received = Atomic<Int32>(0)
  /// Set before a handler runs, and never again.
  nonisolated(unsafe) private static var lastWords: StaticString = ""

  /// Notes signals from now on, those excepted that this process was started to ignore.
  ///
  /// - Parameter words: what is said when the second signal ends the process, and ends with a
  ///   line end: what may be left behind, and what to do about it.
  public static func listen(lastWords words: StaticString) {
    // Made now: a signal handler must not be the first to use it.
    received.store(0, ordering: .relaxed)
    lastWords = words
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let previous = Glibc.signal(number) { Interruption.take($0) }
      if isIgnoring(previous) { Glibc.signal(number, SIG_IGN) }
    }
  }

  private static func isIgnoring(_ handler: __sighandler_t?) -> Bool {
    unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Runs in a signal handler: signal-safety(7).
  private static func take(_ number: Int32) {
    guard received.exchange(number, ordering: .relaxed) != 0 else { return }
    write(2, lastWords.utf8Start, lastWords.utf8CodeUnitCount)
    Glibc.signal(number, SIG_DFL)
    raise(number)
  }

  /// The signal that came; `nil` when none did.
  public static var signal: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  /// - Throws: `Interrupted` when a signal came.
  public static func check() throws(Interrupted) {
    if let signal { throw Interrupted(signal: signal) }
  }
}

/// A signal came, and what had been made is gone.
public struct Interrupted: CodedError, Hashable {
  public let code = ErrorCode.interrupted
  /// The signal's number (signal(7)).
  public let signal: Int32

  public var description: String { "interrupted" }

  /// Ends the process as the signal would have (signal(7)), so that who started it sees why.
  public func endProcess() -> Never {
    Glibc.signal(signal, SIG_DFL)
    raise(signal)
    exit(128 + signal)
  }
}
