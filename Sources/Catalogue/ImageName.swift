import FrozenImage

/// The rule for an image's name: it must do as a file name, as a word of a command
/// and as the last part of a mount source, and never be taken for a UUID.
enum ImageName {
  /// Bytes.
  static let maximumLength = 128

  static func isValid(_ name: String) -> Bool {
    guard (1...maximumLength).contains(name.utf8.count), let first = name.utf8.first,
      first != UInt8(ascii: "-"), first != UInt8(ascii: "."), UniqueIdentifier(name) == nil
    else { return false }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }
}
