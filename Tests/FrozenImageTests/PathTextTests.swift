import FrozenImage
import SeededNumbers
import Testing

@Suite struct PathTextTests {
  @Test(arguments: ["", "/srv/tank", "/srv/Tänk/→/𝄞", "a b\n\u{1B}[31m"])
  func whatIsUTF8IsItsOwnText(path: String) {
    #expect(PathText.text(of: path.utf8) == path)
    #expect(PathText.bytes(of: path) == Array(path.utf8))
  }

  @Test(
    arguments: [
      [0x63, 0xE9], [0xE9, 0x2F, 0xE9], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
      [0xF0, 0x9D, 0x84], [0xFF], [0xE2, 0x86, 0x2F], [0xC3, 0xA9, 0xC3],
    ] as [[UInt8]])
  func everyByteIsKept(bytes: [UInt8]) {
    let text = PathText.text(of: bytes)
    #expect(PathText.bytes(of: text) == bytes)
    // A slash is one in the text as well, and there is none that is none in the path.
    #expect(text.utf8.count { $0 == 0x2F } == bytes.count { $0 == 0x2F })
    let string = bytes.map { CChar(bitPattern: $0) } + [0]
    #expect(PathText.text(cString: string) == text)
    PathText.withCString(text) { pointer in
      #expect((0...bytes.count).map { pointer[$0] } == string)
    }
  }

  /// The scalar that stands for a byte may stand in a path itself.
  @Test func noTwoPathsHaveOneText() {
    let byte: [UInt8] = [0xE9]
    let scalar = Array("\u{10FFE9}".utf8)
    #expect(PathText.text(of: byte) == "\u{10FFE9}")
    #expect(PathText.text(of: scalar) != PathText.text(of: byte))
    #expect(PathText.bytes(of: PathText.text(of: scalar)) == scalar)
  }

  @Test func randomBytesComeBack() {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    var texts: [String: [UInt8]] = [:]
    // Bytes that sequences are made of, and the beginning of the escapes.
    let parts: [UInt8] = [
      0x2F, 0x61, 0x80, 0x8F, 0xA9, 0xBF, 0xC3, 0xE2, 0xE9, 0xF0, 0xF4, 0xFF,
    ]
    for _ in 0..<5000 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        bytes.append(parts[Int.random(in: parts.indices, using: &generator)])
      }
      let text = PathText.text(of: bytes)
      #expect(PathText.bytes(of: text) == bytes, "seed \(seed): \(bytes)")
      #expect((texts[text] ?? bytes) == bytes, "seed \(seed): \(bytes)")
      texts[text] = bytes
    }
  }
}
