import CFuse3
import Glibc
import Logging
import Synchronization

/// Where libfuse's own messages go. It has one outlet for the whole process.
enum LibfuseLog {
  private struct Outlet {
    var logger: Logger?
    /// What was said since a recording began; `nil` when nobody records.
    var record: String?
  }

  private static let outlet = Mutex(Outlet())
  /// One recording at a time, so that the words of two mounts do not mix.
  private static let recording = Mutex(())

  /// Sends libfuse's messages to a logger from now on.
  static func redirect(to logger: Logger) {
    outlet.withLock { $0.logger = logger }
    fuse_set_log_func { _, format, arguments in
      guard let format, let arguments else { return }
      var text = [CChar](repeating: 0, count: 1024)
      vsnprintf(&text, text.count, format, arguments)
      LibfuseLog.take(
        String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
  }

  /// Runs `body` and gives what libfuse said meanwhile, in one line.
  static func record<Value>(_ body: () -> Value) -> (value: Value, said: String) {
    recording.withLock { _ in
      outlet.withLock { $0.record = "" }
      let value = body()
      let said = outlet.withLock { outlet in
        defer { outlet.record = nil }
        return outlet.record ?? ""
      }
      return (value, cleaned(said))
    }
  }

  private static func take(_ message: String) {
    let logger = outlet.withLock { outlet -> Logger? in
      guard outlet.record == nil else {
        outlet.record?.append(message)
        return nil
      }
      return outlet.logger
    }
    logger?.warning("libfuse: \(cleaned(message))")
  }

  /// A message without libfuse's prefix and line ends.
  private static func cleaned(_ message: String) -> String {
    message.split(separator: "\n")
      .map { $0.hasPrefix("fuse: ") ? $0.dropFirst(6) : $0 }
      .joined(separator: "; ")
  }
}
