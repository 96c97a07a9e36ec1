/// What a run said: its last lines, numbered from 0.
struct RunLog {
  /// Most lines; when there are more, half of them go.
  static let maximumLines = 8000
  /// Most bytes; when there are more, half of them go.
  static let maximumBytes = 1 << 20

  private(set) var lines: [String] = []
  /// The number of the first of `lines`.
  private(set) var firstLine: UInt64 = 0
  /// Those of `lines`, and one for each line's end.
  private(set) var bytes = 0

  mutating func append(_ line: String) {
    lines.append(line)
    bytes += line.utf8.count + 1
    if lines.count > Self.maximumLines || bytes > Self.maximumBytes {
      shrink(toLines: Self.maximumLines / 2, bytes: Self.maximumBytes / 2)
    }
  }

  /// Drops lines, the oldest first, until no more than so many are left.
  mutating func shrink(toLines most: Int, bytes mostBytes: Int) {
    var dropped = 0
    while lines.count - dropped > most || bytes > mostBytes, dropped < lines.count {
      bytes -= lines[dropped].utf8.count + 1
      dropped += 1
    }
    firstLine += UInt64(dropped)
    lines.removeFirst(dropped)
  }

  /// The lines from one on, as far as they are left, and the number of the first.
  func lines(from line: UInt64) -> (first: UInt64, lines: [String]) {
    let skipped = line > firstLine ? Int(clamping: line - firstLine) : 0
    return (max(line, firstLine), Array(lines.dropFirst(skipped)))
  }
}
