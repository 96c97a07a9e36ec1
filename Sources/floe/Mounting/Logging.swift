import Glibc
import HostSystem
import Logging
import Synchronization

/// Where log messages go: to the journal where there is one, else to standard error in the
/// foreground, and to syslog(3) from the background, where standard error leads nowhere.
enum LogDestination {
  /// The variable of the environment that says which messages are logged.
  static let levelVariable = "FLOE_LOG"

  /// Whether messages go elsewhere than to whoever started the program.
  static var isElsewhere: Bool { background.withLock { $0 } }
  private static let background = Mutex(false)

  /// - Parameter options: what the command line says of the level.
  static func use(background: Bool, _ options: LogOptions) {
    let sink = sink(background: background)
    let level = options.logLevel?.value ?? level
    self.background.withLock { $0 = background }
    LoggingSystem.bootstrap { _ in
      LogLines(sink: sink, logLevel: level)
    }
  }

  private static func sink(background: Bool) -> any LogSink {
    if background || Journal.isStandardError, let journal = Journal() { return journal }
    return background ? SystemLog() : StandardErrorLog()
  }

  /// `trace`, `debug`, `info`, `notice` (unless said otherwise), `warning`, `error`, `critical`.
  private static var level: Logger.Level {
    let word = getenv(levelVariable).map { String(cString: $0) }
    return word.flatMap { Logger.Level(rawValue: $0) } ?? .notice
  }
}
