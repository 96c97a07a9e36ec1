import Glibc

/// Times as people and logs read them.
enum TimeText {
  /// The time of day in UTC, to the millisecond (RFC 3339).
  static func now() -> String {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let thousandths = String(time.tv_nsec / 1_000_000 + 1000).dropFirst()
    return text(of: Int64(time.tv_sec), "%Y-%m-%dT%H:%M:%S", in: gmtime_r) + ".\(thousandths)Z"
  }

  /// A time in this host's zone, to the second: "2026-11-26 15:30:00".
  ///
  /// - Parameter seconds: since 1970.
  static func local(_ seconds: Int64) -> String {
    text(of: seconds, "%Y-%m-%d %H:%M:%S", in: localtime_r)
  }

  private static func text(
    of seconds: Int64, _ format: String,
    in zone: (UnsafePointer<time_t>, UnsafeMutablePointer<tm>) -> UnsafeMutablePointer<tm>?
  ) -> String {
    var time = time_t(seconds)
    var parts = tm()
    guard zone(&time, &parts) != nil else { return "?" }
    var buffer = [CChar](repeating: 0, count: 64)
    let count = strftime(&buffer, buffer.count, format, &parts)
    return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
