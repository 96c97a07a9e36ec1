package import FrozenImage
import Glibc
package import HostSystem

/// A time as people type it, in this host's zone.
package enum NamedTime {
  /// - Throws: `Failure` when it is none, and no file of this host either.
  package static func time(_ text: String) throws(Failure) -> Timestamp {
    if text.hasPrefix("@"), let seconds = Int64(text.dropFirst()) {
      return Timestamp(seconds: seconds, nanoseconds: 0)
    }
    if let seconds = seconds(ofDate: text) { return Timestamp(seconds: seconds, nanoseconds: 0) }
    var status = stat()
    guard stat(text, &status) == 0 else {
      throw Failure(
        .invalid,
        "“\(text)” cannot be read as a time: write YYYY-MM-DD, with HH:MM or HH:MM:SS behind it, @SECONDS, or "
          + "the path of a file")
    }
    return Timestamp(
      seconds: Int64(status.st_mtim.tv_sec), nanoseconds: UInt32(clamping: status.st_mtim.tv_nsec))
  }

  private static func seconds(ofDate text: String) -> Int64? {
    let words = text.split(whereSeparator: { $0 == " " || $0 == "T" })
    guard let date = words.first, words.count <= 2 else { return nil }
    let days = date.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
    let clock = words.count == 2 ? words[1].split(separator: ":").map { Int32($0) } : [0, 0]
    guard days.count == 3, let year = days[0], let month = days[1], let day = days[2],
      (1900...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
      (2...3).contains(clock.count), let hour = clock[0], let minute = clock[1],
      let second = clock.count == 3 ? clock[2] : 0,
      (0..<24).contains(hour), (0..<60).contains(minute), (0...60).contains(second)
    else { return nil }
    var parts = tm()
    parts.tm_year = year - 1900
    parts.tm_mon = month - 1
    parts.tm_mday = day
    parts.tm_hour = hour
    parts.tm_min = minute
    parts.tm_sec = second
    parts.tm_isdst = -1
    return Int64(mktime(&parts))
  }
}
