import FrozenImage

/// Text as a terminal or a log may get it. Labels, names, paths and other hosts' words may hold
/// sequences that a terminal obeys, and line ends that would make one report look like another.
/// Every line that floe prints for people goes through here; JSON has escapes of its own.
public enum VisibleText {
  /// A line, in which every control character, line ends too, every character that turns the
  /// direction of writing, and every byte that is not UTF-8 is shown escaped.
  public static func line(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { escape(of: $0) != nil }) else { return text }
    return text.unicodeScalars.reduce(into: "") { line, scalar in
      if let escape = escape(of: scalar) {
        line += escape
      } else {
        line.unicodeScalars.append(scalar)
      }
    }
  }

  /// Several lines, each of them as `line` shows it.
  public static func page(_ lines: [String]) -> String {
    lines.map(line).joined(separator: "\n")
  }

  /// `nil` when the scalar is shown as it is.
  private static func escape(of scalar: Unicode.Scalar) -> String? {
    if let byte = PathText.escapedByte(scalar) { return "\\x" + hexadecimal(byte) }
    switch scalar {
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    case "\0"..<" ", "\u{7F}"..<"\u{A0}":
      return "\\x" + hexadecimal(UInt8(truncatingIfNeeded: scalar.value))
    default: return isHidden(scalar) ? "\\u{" + String(scalar.value, radix: 16) + "}" : nil
    }
  }

  /// Whether a scalar moves or turns what stands around it: bidirectional controls (Unicode
  /// Standard Annex 9), line and paragraph separators.
  public static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x61C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }

  /// A word for a POSIX shell and its relatives, to be typed as it stands; one that holds what
  /// a terminal would not show is quoted as bash and zsh read it ($'…').
  public static func shellWord(_ text: String) -> String {
    let isPlain = text.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII
        && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil
          || "/._-:+,=@%".unicodeScalars.contains(scalar))
    }
    if isPlain, !text.isEmpty { return text }
    guard line(text) != text else {
      return "'"
        + text.split(separator: "'", omittingEmptySubsequences: false)
        .joined(separator: "'\\''") + "'"
    }
    let bytes = PathText.bytes(of: text).map { byte in
      switch byte {
      case UInt8(ascii: "'"), UInt8(ascii: "\\"): "\\" + String(UnicodeScalar(byte))
      case 0x20..<0x7F: String(UnicodeScalar(byte))
      default: "\\x" + hexadecimal(byte)
      }
    }
    return "$'" + bytes.joined() + "'"
  }

  private static func hexadecimal(_ byte: UInt8) -> String {
    [byte].hexadecimal.uppercased()
  }
}
