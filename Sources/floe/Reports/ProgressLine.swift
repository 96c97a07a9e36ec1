import Glibc
import HostSystem

/// A line that says how far a freeze or a verification is, for people at a terminal only.
struct ProgressLine {
  private let isShown = isatty(2) == 1
  private let start = MonotonicClock.now()
  private var nextTime: UInt64 = 0

  mutating func show(files: UInt64, bytes: UInt64) {
    let now = MonotonicClock.now()
    guard isShown, now >= nextTime else { return }
    nextTime = now + 200_000_000
    let seconds = Double(now - start) / 1e9
    let rate = seconds > 0 ? UInt64(Double(files) / seconds) : 0
    write("\r\u{1B}[K\(files) files, \(bytes >> 20) MiB, \(rate) files/s")
  }

  func end() {
    if isShown { write("\r\u{1B}[K") }
  }

  private func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
  }
}
