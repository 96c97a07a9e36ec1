/// The identifier of a physical volume, a volume group or a logical volume: 32 of 64
/// characters, drawn at random (`struct id`, lvm2 lib/id/id.c).
package struct VolumeIdentifier: Hashable, Sendable, CustomStringConvertible {
  /// Characters of an identifier.
  static let length = 32

  /// The characters without the hyphens that text has between them.
  private let characters: String

  /// Reads the form that a label has; `nil` when it is not 32 characters of those
  /// allowed.
  package init?(_ bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    guard bytes.count == Self.length, bytes.allSatisfy(Self.isAllowed) else { return nil }
    characters = String(decoding: bytes, as: UTF8.self)
  }

  /// Reads the form that text has, with hyphens after the 6th and then every 4th
  /// character; `nil` when it is not of that form.
  init?(text: String) {
    guard let identifier = Self(text.utf8.filter { $0 != UInt8(ascii: "-") }),
      identifier.description == text
    else { return nil }
    self = identifier
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "!"), UInt8(ascii: "#"):
      true
    default: false
    }
  }

  /// The form that a label has.
  var bytes: [UInt8] { Array(characters.utf8) }

  package var description: String {
    var text = ""
    for (index, character) in characters.enumerated() {
      if index >= 6, index < 30, (index - 6) % 4 == 0 { text += "-" }
      text.append(character)
    }
    return text
  }
}
