import FrozenImage
import Testing

@testable import Decoding

/// The data checksums, with values that their authors publish: RFC 3720, the xxHash
/// repository, FIPS 180-4, and RFC 7693's function with 32 bytes.
@Suite struct BlockChecksumTests {
  private func bytes(_ hexadecimal: String) -> [UInt8] {
    stride(from: 0, to: hexadecimal.utf8.count, by: 2).compactMap { index in
      UInt8(hexadecimal.dropFirst(index).prefix(2), radix: 16)
    }
  }

  @Test(arguments: [
    (ChecksumAlgorithm.crc32c, "123456789", "839206e3"),
    (.xxhash64, "", "99e9d85137db46ef"),
    (.xxhash64, "abc", "990977adf52cbc44"),
    (.sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (.blake2b, "abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
  ])
  func knownValues(_ algorithm: ChecksumAlgorithm, _ text: String, _ checksum: String) {
    let checksum = bytes(checksum)
    #expect(checksum.count == algorithm.width)
    let block = Array(text.utf8)
    for index in [0, 3] {
      var stored = [UInt8](repeating: 0xFF, count: index) + checksum
      #expect(matches(block, stored, index, algorithm))
      for place in 0..<algorithm.width {
        stored[index + place] ^= 1
        #expect(!matches(block, stored, index, algorithm))
        stored[index + place] ^= 1
      }
      #expect(!matches(block + [0], stored, index, algorithm))
      // Not all of it is there.
      #expect(!matches(block, stored.dropLast(), index, algorithm))
      #expect(!matches(block, stored, -1, algorithm))
    }
  }

  private func matches(
    _ block: [UInt8], _ stored: [UInt8], _ index: Int, _ algorithm: ChecksumAlgorithm
  ) -> Bool {
    block.withUnsafeBytes { block in
      stored.withUnsafeBytes { algorithm.matches(block, stored: $0, at: index) }
    }
  }

  @Test func theFirstMismatchIsFound() {
    let blocks = (0..<8).map { [UInt8](repeating: $0, count: 512) }
    var stored: [UInt8] = []
    for block in blocks {
      let checksum = block.withUnsafeBytes { CRC32C.checksum($0) }
      withUnsafeBytes(of: checksum.littleEndian) { stored += $0 }
    }
    for wrong in 0..<8 {
      var bytes = Array(blocks.joined())
      #expect(mismatch(Array(bytes[512...]), stored, from: 1) == nil)
      bytes[wrong * 512 + 100] ^= 1
      #expect(mismatch(bytes, stored, from: 0) == wrong)
      #expect(mismatch(Array(bytes[1024...]), stored, from: 2) == (wrong < 2 ? nil : wrong - 2))
    }
    // More blocks than checksums.
    #expect(mismatch(Array(blocks.joined()), stored, from: 1) == 0)
  }

  private func mismatch(_ bytes: [UInt8], _ stored: [UInt8], from first: Int) -> Int? {
    bytes.withUnsafeBytes { bytes in
      stored.withUnsafeBytes { stored in
        ChecksumAlgorithm.crc32c.firstMismatch(
          in: bytes, blocksOf: 512, stored: stored, from: first)
      }
    }
  }
}
