import DataSets
import FrozenImage

/// Reads LVM2's metadata text, by recursive descent. The grammar is that of lvm2's
/// configuration files (libdm/libdm-config.c):
///
///     section  = { entry }
///     entry    = key ( "{" section "}" | "=" value )
///     value    = scalar | "[" [ scalar { [","] scalar } [","] ] "]"
///     scalar   = integer | float | string
///     comment  = "#" up to the end of the line
///
/// A zero byte ends the text. Strings without quotes and keys that hold a slash are
/// allowed there too, but no metadata has them; they are refused, as are keys that
/// appear twice.
///
/// Time and memory are bounded: a text has `maximumLength` bytes at most, nests
/// `maximumDepth` sections and holds `maximumCount` values.
struct MetadataParser {
  /// Bytes. lvm2 gives the metadata 1 MiB by default and stops at half of it.
  static let maximumLength = 16 << 20
  static let maximumDepth = 16
  static let maximumCount = 1 << 20
  /// Bytes of a key; lvm2 allows 127 (`NAME_LEN`).
  static let maximumKeyLength = 255

  private let bytes: [UInt8]
  private var position = 0
  private var count = 0

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// - Throws: `StackError`, which names the line, when the bytes are no such text.
  static func parse(_ bytes: [UInt8]) throws(StackError) -> MetadataSection {
    guard bytes.count <= maximumLength else {
      throw StackError(.malformed, "the text has \(bytes.count) bytes, more than \(maximumLength)")
    }
    var parser = Self(bytes)
    return try parser.section(path: "", depth: 0)
  }

  // MARK: Sections

  private mutating func section(path: String, depth: Int) throws(StackError) -> MetadataSection {
    var section = MetadataSection(path: path)
    while true {
      skipSpace()
      guard let byte = next else {
        guard depth == 0 else { throw failure("the text ends inside the section \(path)") }
        return section
      }
      if byte == UInt8(ascii: "}"), depth > 0 {
        position += 1
        return section
      }
      let key = try key()
      let value = try entry(path: section.path(of: key), depth: depth)
      guard section.insert(value, for: key) else {
        throw failure("\(section.path(of: key)) appears twice")
      }
    }
  }

  private mutating func entry(path: String, depth: Int) throws(StackError) -> MetadataValue {
    try countValue()
    skipSpace()
    switch next {
    case UInt8(ascii: "{"):
      guard depth < Self.maximumDepth else {
        throw failure("sections nest deeper than \(Self.maximumDepth)")
      }
      position += 1
      return .section(try section(path: path, depth: depth + 1))
    case UInt8(ascii: "="):
      position += 1
      return try value(path: path)
    default:
      throw failure("neither a section nor a value follows \(path)")
    }
  }

  private mutating func key() throws(StackError) -> String {
    let characters: [UInt8]
    switch next {
    case UInt8(ascii: "\""), UInt8(ascii: "'"):
      characters = try string(path: "a key")
    default:
      let start = position
      while let byte = next, Self.isKey(byte) { position += 1 }
      characters = Array(bytes[start..<position])
    }
    guard (1...Self.maximumKeyLength).contains(characters.count),
      characters.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "/") })
    else { throw failure("a key is expected") }
    return String(decoding: characters, as: UTF8.self)
  }

  private static func isKey(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "#"), UInt8(ascii: "="), UInt8(ascii: "{"), UInt8(ascii: "}"): false
    default: (0x21...0x7E).contains(byte)
    }
  }

  // MARK: Values

  private mutating func value(path: String) throws(StackError) -> MetadataValue {
    skipSpace()
    guard next == UInt8(ascii: "[") else { return try scalar(path: path) }
    position += 1
    var values: [MetadataValue] = []
    while true {
      skipSpace()
      if next == UInt8(ascii: "]") {
        position += 1
        return .array(values)
      }
      try countValue()
      values.append(try scalar(path: path))
      skipSpace()
      if next == UInt8(ascii: ",") { position += 1 }
    }
  }

  private mutating func scalar(path: String) throws(StackError) -> MetadataValue {
    switch next {
    case UInt8(ascii: "\""), UInt8(ascii: "'"):
      return .string(String(decoding: try string(path: path), as: UTF8.self))
    case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      .some(UInt8(ascii: "0")...UInt8(ascii: "9")):
      return try number(path: path)
    default:
      throw failure("\(path) has no value")
    }
  }

  /// A string's bytes without its quotes. In double quotes a backslash before a quote
  /// or a backslash goes away; any other stays (`dm_unescape_double_quotes`).
  private mutating func string(path: String) throws(StackError) -> [UInt8] {
    guard let quote = next else { throw failure("\(path) has no value") }
    position += 1
    let backslash = UInt8(ascii: "\\")
    var characters: [UInt8] = []
    while let byte = next {
      position += 1
      if byte == quote { return characters }
      if byte == backslash, quote == UInt8(ascii: "\""), let escaped = next,
        escaped == quote || escaped == backslash
      {
        position += 1
        characters.append(escaped)
      } else {
        characters.append(byte)
      }
    }
    throw failure("the string of \(path) does not end")
  }

  private mutating func number(path: String) throws(StackError) -> MetadataValue {
    let start = position
    var isFloat = next == UInt8(ascii: ".")
    position += 1
    while let byte = next {
      if byte == UInt8(ascii: "."), !isFloat {
        isFloat = true
      } else if !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
        break
      }
      position += 1
    }
    let digits = bytes[start..<position]
    guard digits.count <= 64 else { throw failure("the number of \(path) is too long") }
    let text = String(decoding: digits, as: UTF8.self)
    if isFloat, let float = Double(text) { return .float(float) }
    // lvm2 takes a leading zero for octal (strtoll(3), base 0).
    let isOctal = text.drop { $0 == "+" || $0 == "-" }.hasPrefix("0")
    if !isFloat, let integer = Int64(text, radix: isOctal ? 8 : 10) { return .integer(integer) }
    throw failure("\(path) is no number: \(text)")
  }

  // MARK: Bytes

  /// The byte at the position; `nil` at the end.
  private var next: UInt8? {
    position < bytes.count && bytes[position] != 0 ? bytes[position] : nil
  }

  private mutating func skipSpace() {
    while let byte = next {
      switch byte {
      case UInt8(ascii: "#"):
        while let byte = next, byte != UInt8(ascii: "\n") { position += 1 }
      case UInt8(ascii: " "), 0x09...0x0D: position += 1
      default: return
      }
    }
  }

  private mutating func countValue() throws(StackError) {
    count += 1
    guard count <= Self.maximumCount else {
      throw failure("the text holds more than \(Self.maximumCount) values")
    }
  }

  private func failure(_ reason: String) -> StackError {
    let line = bytes[..<position].count { $0 == UInt8(ascii: "\n") } + 1
    return StackError(.malformed, "line \(line): \(reason)")
  }
}
