import Glibc

/// Standard output for very many lines: it is written in large pieces.
struct LineOutput {
  private var pending: [UInt8] = []

  /// - Throws: when nobody reads any more.
  mutating func write(_ text: String) throws(SilentExit) {
    pending += text.utf8
    if pending.count > 1 << 16 { try end() }
  }

  /// Writes a path's own bytes and a zero byte, with "./" before, as find(1) prints them: no
  /// program takes a name for a comment or an option.
  ///
  /// - Throws: as `write(_:)`.
  mutating func write(path: [UInt8]) throws(SilentExit) {
    pending += "./".utf8 + path + [0]
    if pending.count > 1 << 16 { try end() }
  }

  /// Writes what is pending.
  ///
  /// - Throws: as `write(_:)`.
  mutating func end() throws(SilentExit) {
    var done = 0
    while done < pending.count {
      let count = pending.withUnsafeBytes {
        Glibc.write(1, $0.baseAddress.map { $0 + done }, $0.count - done)
      }
      guard count > 0 || count < 0 && errno == EINTR else {
        throw SilentExit(status: EXIT_FAILURE)
      }
      done += max(count, 0)
    }
    pending.removeAll(keepingCapacity: true)
  }
}
