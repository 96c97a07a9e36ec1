/// Paths and names of files as text that keeps every byte.
///
/// To Linux a path is bytes; floe carries paths as `String`, in options, messages, JSON,
/// protobuf and the representation, all of which are UTF-8. So a byte that is no part of
/// UTF-8 stands as one scalar of a private-use area, U+10FF00 plus the byte (U+10FF80 through
/// U+10FFFF). Where such a scalar really stands in a path, its four bytes are written that way,
/// so every path has one text of its own, and every text leads back to its bytes. A slash, a
/// dot or a zero byte is never hidden in an escape.
///
/// A path becomes text where it comes from the system (arguments, realpath(3), mountinfo), and
/// bytes again at the system call.
public enum PathText {
  /// The scalars that stand for a byte.
  private static let escapes: ClosedRange<UInt32> = 0x10FF80...0x10FFFF
  /// With which each of them begins in UTF-8, and few other scalars do.
  private static let lead: UInt8 = 0xF4

  /// The text of a path's bytes.
  public static func text(of bytes: some Sequence<UInt8>) -> String {
    let bytes = Array(bytes)
    if !bytes.contains(lead), let text = String(validating: bytes, as: UTF8.self) { return text }
    var text = String.UnicodeScalarView()
    var rest = bytes[...]
    while let byte = rest.first {
      if let scalar = firstScalar(of: rest), !escapes.contains(scalar.value) {
        text.append(scalar)
        rest = rest.dropFirst(UTF8.width(scalar))
      } else {
        if let escape = Unicode.Scalar(0x10FF00 + UInt32(byte)) { text.append(escape) }
        rest = rest.dropFirst()
      }
    }
    return String(text)
  }

  /// - Parameter string: ends with a zero byte, as C has it.
  public static func text(cString string: UnsafePointer<CChar>) -> String {
    var count = 0
    while string[count] != 0 { count += 1 }
    return text(
      of: UnsafeBufferPointer(start: string, count: count).map { UInt8(bitPattern: $0) })
  }

  /// The scalar that the bytes begin with; `nil` when they are not UTF-8 there.
  private static func firstScalar(of bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
    let length: Int
    switch bytes.first {
    case .some(0..<0x80): length = 1
    case .some(0xC2...0xDF): length = 2
    case .some(0xE0...0xEF): length = 3
    case .some(0xF0...0xF4): length = 4
    default: return nil
    }
    return String(validating: bytes.prefix(length), as: UTF8.self)?.unicodeScalars.first
  }

  /// The bytes that a text stands for.
  public static func bytes(of text: String) -> [UInt8] {
    guard text.utf8.contains(lead) else { return Array(text.utf8) }
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      if let byte = escapedByte(scalar) {
        bytes.append(byte)
      } else {
        bytes += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
      }
    }
    return bytes
  }

  /// The byte that a scalar of a text stands for; `nil` when it stands for itself.
  public static func escapedByte(_ scalar: Unicode.Scalar) -> UInt8? {
    escapes.contains(scalar.value) ? UInt8(truncatingIfNeeded: scalar.value) : nil
  }

  /// Runs a body with the bytes that a text stands for, as C has them.
  public static func withCString<Result>(
    _ text: String, _ body: (UnsafePointer<CChar>) throws -> Result
  ) rethrows -> Result {
    guard text.utf8.contains(lead) else { return try text.withCString(body) }
    let string = bytes(of: text).map { CChar(bitPattern: $0) } + [0]
    return try body(string)
  }
}
