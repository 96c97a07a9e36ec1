import CLinuxIO
import Glibc
import LinuxIO
import Logging

/// Where log messages go: to standard error in the foreground, to syslog(3) from
/// the background, where standard error leads nowhere.
enum LogDestination {
  static func use(background: Bool) {
    LoggingSystem.bootstrap { label in
      var handler: any LogHandler =
        background ? SystemLog() : StandardErrorLog()
      handler.logLevel = .notice
      return handler
    }
  }
}

/// One line for each message: "floe: warning: sentence".
private struct StandardErrorLog: LogHandler {
  var logLevel = Logger.Level.notice
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    printError("floe: \(event.level): \(event.message)")
  }
}

private struct SystemLog: LogHandler {
  var logLevel = Logger.Level.notice
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let priority =
      switch event.level {
      case .trace, .debug: LOG_DEBUG
      case .info: LOG_INFO
      case .notice: LOG_NOTICE
      case .warning: LOG_WARNING
      case .error: LOG_ERR
      case .critical: LOG_CRIT
      }
    floe_syslog(priority, VisibleText.line("floe[\(getpid())]: \(event.message)"))
  }
}
