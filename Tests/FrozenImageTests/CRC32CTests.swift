import SeededNumbers
import Testing

@testable import FrozenImage

@Suite struct CRC32CTests {
  /// RFC 3720, appendix B.4; the last is the usual check value of the CRC catalogues.
  @Test func knownValues() {
    let vectors: [([UInt8], UInt32)] = [
      (Array(repeating: 0, count: 32), 0x8A91_36AA),
      (Array(repeating: 0xFF, count: 32), 0x62A8_AB43),
      (Array(0..<32), 0x46DD_794E),
      ((0..<32).reversed(), 0x113F_DB5C),
      (Array("123456789".utf8), 0xE306_9283),
      ([], 0),
    ]
    for (bytes, expected) in vectors {
      #expect(CRC32C.checksum(bytes) == expected)
      #expect(bytes.withUnsafeBytes { CRC32C.tables($0, ~0) } == expected)
    }
  }

  @Test func bothPathsAgreeAtAnyLengthAndAlignment() {
    var generator = SeededGenerator(seed: testSeed())
    let bytes = generator.bytes(20_000)
    for _ in 0..<1000 {
      let start = Int.random(in: 0...100, using: &generator)
      let end = Int.random(in: start...bytes.count, using: &generator)
      bytes.withUnsafeBytes { all in
        let part = UnsafeRawBufferPointer(rebasing: all[start..<end])
        #expect(CRC32C.checksum(part) == CRC32C.tables(part, ~0), "\(start)..<\(end)")
      }
    }
  }

  @Test func aRunCanBeTakenInPieces() {
    var generator = SeededGenerator(seed: testSeed())
    let bytes = generator.bytes(10_000)
    for _ in 0..<100 {
      let cut = Int.random(in: 0...bytes.count, using: &generator)
      let first = Array(bytes[..<cut]).withUnsafeBytes { CRC32C.checksum($0) }
      let whole = Array(bytes[cut...]).withUnsafeBytes { CRC32C.checksum($0, continuing: first) }
      #expect(whole == CRC32C.checksum(bytes))
    }
  }
}
