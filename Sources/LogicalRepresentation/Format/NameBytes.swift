/// A name as the format orders names: by unsigned bytes, a prefix first (as
/// `memcmp` does, then by length).
struct NameBytes: Comparable {
  let bytes: UnsafeRawBufferPointer

  /// Negative, zero or positive, as `memcmp`.
  static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    var position = 0
    while position &+ 8 <= common {
      let a = left.loadUnaligned(fromByteOffset: position, as: UInt64.self)
      let b = right.loadUnaligned(fromByteOffset: position, as: UInt64.self)
      if a != b { return a.bigEndian < b.bigEndian ? -1 : 1 }
      position &+= 8
    }
    while position < common {
      if left[position] != right[position] { return left[position] < right[position] ? -1 : 1 }
      position &+= 1
    }
    return left.count - right.count
  }

  static func < (left: Self, right: Self) -> Bool { order(left.bytes, right.bytes) < 0 }
  static func == (left: Self, right: Self) -> Bool { order(left.bytes, right.bytes) == 0 }

  /// Most bytes of a name (`NAME_MAX`, linux/limits.h).
  static let maximumLength = 255

  /// What keeps the bytes from being the name of a directory entry; `nil` when
  /// nothing does.
  var entryProblem: String? {
    if bytes.isEmpty { return "its name is empty" }
    if bytes.count > Self.maximumLength { return "its name has more than 255 bytes" }
    if bytes[0] == UInt8(ascii: "."),
      bytes.count == 1 || bytes.count == 2 && bytes[1] == UInt8(ascii: ".")
    {
      return "its name is . or .."
    }
    for byte in bytes where byte == 0 || byte == UInt8(ascii: "/") {
      return "its name has a NUL or a slash in it"
    }
    return nil
  }
}

extension UnsafeRawBufferPointer {
  /// The bytes as quoted text for a message; what is not printable ASCII is shown
  /// as `\xNN`.
  var quoted: String {
    let digits = Array("0123456789abcdef")
    var text = "\""
    for byte in prefix(NameBytes.maximumLength) {
      if (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "\\"), byte != UInt8(ascii: "\"") {
        text.unicodeScalars.append(UnicodeScalar(byte))
      } else {
        text += "\\x" + String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
      }
    }
    return text + (count > NameBytes.maximumLength ? "…\"" : "\"")
  }
}
