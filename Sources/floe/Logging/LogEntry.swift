import Glibc
import HostSystem
import Logging

/// Takes finished messages.
protocol LogSink: Sendable {
  func write(_ entry: LogEntry)
}

/// One message: a sentence, and what it is about. None of its texts has control characters.
struct LogEntry {
  let level: Logger.Level
  let sentence: String
  /// By name, in ascending order: "image", "backup_host", …
  let fields: [(name: String, value: String)]

  init(level: Logger.Level, message: String, metadata: Logger.Metadata) {
    self.level = level
    sentence = VisibleText.line(message)
    fields = metadata.sorted { $0.key < $1.key }.map { ($0.key, VisibleText.line("\($0.value)")) }
  }

  /// The sentence, and in parentheses what it is about.
  var line: String {
    guard !fields.isEmpty else { return sentence }
    return "\(sentence) (\(fields.map { "\($0.name) \($0.value)" }.joined(separator: ", ")))"
  }

  /// The priority of syslog(3).
  var priority: Int32 {
    switch level {
    case .trace, .debug: LOG_DEBUG
    case .info: LOG_INFO
    case .notice: LOG_NOTICE
    case .warning: LOG_WARNING
    case .error: LOG_ERR
    case .critical: LOG_CRIT
    }
  }
}

/// Hands messages of swift-log to a sink.
struct LogLines: LogHandler {
  let sink: any LogSink
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  init(sink: any LogSink, logLevel: Logger.Level) {
    self.sink = sink
    self.logLevel = logLevel
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
    sink.write(LogEntry(level: event.level, message: "\(event.message)", metadata: all))
  }
}
