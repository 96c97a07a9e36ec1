import FrozenImage

/// The name of an entry in a directory, as system calls want it: one that names nothing but
/// an entry of that very directory.
///
/// An image may come from anybody. With a name such as "..", or one that holds a slash, it would
/// write where it likes.
struct EntryName: Hashable, Sendable {
  /// Ends with a zero byte.
  private let characters: [CChar]

  /// `nil` for an empty name, "." and "..", and one that holds a slash or a zero byte.
  init?(_ bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    guard !bytes.isEmpty, !bytes.contains(0), !bytes.contains(UInt8(ascii: "/")),
      bytes != Array(".".utf8), bytes != Array("..".utf8)
    else { return nil }
    characters = bytes.map { CChar(bitPattern: $0) } + [0]
  }

  private init(characters: [CChar]) {
    self.characters = characters
  }

  /// The directory itself.
  static let itself = EntryName(characters: [CChar(bitPattern: UInt8(ascii: ".")), 0])

  /// The name's bytes, without a zero byte.
  var bytes: [UInt8] { characters.dropLast().map { UInt8(bitPattern: $0) } }

  /// The name as paths are carried (`PathText`).
  var text: String { PathText.text(of: bytes) }

  func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
    try characters.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return try "".withCString(body) }
      return try body(start)
    }
  }
}
