import CCompression
import FrozenImage
import Glibc
import SeededNumbers
import Testing

@testable import Decoding
@testable import VerifiedReading

/// The decoders: all that was encoded comes back, as far as it is wanted; what makes no
/// sense throws.
@Suite struct RunDecoderTests {
  static let algorithms = CompressionAlgorithm.allCases

  /// Decodes into a buffer between bytes that must stay as they are.
  private func decode(
    _ stored: [UInt8], as algorithm: CompressionAlgorithm, count: Int,
    with decoder: inout RunDecoder
  ) throws -> [UInt8] {
    var room = [UInt8](repeating: 0xA5, count: count + 128)
    let decoded = try room.withUnsafeMutableBytes { room in
      try stored.withUnsafeBytes { stored in
        try decoder.decode(
          stored, as: algorithm,
          into: UnsafeMutableRawBufferPointer(rebasing: room[64..<64 + count])
        )
      }
    }
    try #require((0...count).contains(decoded))
    #expect(
      room[..<64].allSatisfy { $0 == 0xA5 } && room[(64 + count)...].allSatisfy { $0 == 0xA5 })
    return Array(room[64..<64 + decoded])
  }

  @Test(arguments: algorithms)
  func whatWasEncodedComesBack(_ algorithm: CompressionAlgorithm) throws {
    var generator = SeededGenerator(seed: 3)
    var decoder = RunDecoder()
    for length in [1, 100, 4095, 4096, 4097, 50_000, 131_071, 131_072, 1 << 20] {
      let bytes = generator.text(length)
      let stored = try CompressedBytes.run(bytes, as: algorithm)
      #expect(try decode(stored, as: algorithm, count: length, with: &decoder) == bytes)
      // No farther than asked for.
      for count in [1, length / 3, length - 1] where count > 0 {
        let part = try decode(stored, as: algorithm, count: count, with: &decoder)
        #expect(part == Array(bytes[..<count]), "\(length) up to \(count)")
      }
      // What ends early says so.
      #expect(try decode(stored, as: algorithm, count: length + 5000, with: &decoder) == bytes)
    }
  }

  @Test(arguments: algorithms)
  func whatIsCutShortThrows(_ algorithm: CompressionAlgorithm) throws {
    var generator = SeededGenerator(seed: 4)
    var decoder = RunDecoder()
    let bytes = generator.text(60_000)
    let stored = try CompressedBytes.run(bytes, as: algorithm)
    let padding = stored.reversed().prefix { $0 == 0 }.count
    for count in stride(from: 0, to: stored.count - padding - 8, by: 997) {
      #expect(throws: DecodingError.self, "\(count) of \(stored.count)") {
        try decode(Array(stored[..<count]), as: algorithm, count: bytes.count, with: &decoder)
      }
    }
  }

  /// Any bytes: an error or some decoded bytes, nothing written elsewhere, and the decoder
  /// works as before afterwards.
  @Test(arguments: algorithms)
  func changedBytesAreHarmless(_ algorithm: CompressionAlgorithm) throws {
    var generator = SeededGenerator(seed: 5)
    var decoder = RunDecoder()
    let bytes = generator.text(20_000)
    let sound = try CompressedBytes.run(bytes, as: algorithm)
    var refused = 0
    for round in 0..<300 {
      var stored = sound
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        // The framing is at the start, and where it says.
        let near = Bool.random(using: &generator) ? min(64, stored.count) : stored.count
        let place = Int.random(in: 0..<near, using: &generator)
        stored[place] = UInt8.random(in: 0...255, using: &generator)
      }
      if round % 5 == 0 {
        stored = Array(stored[..<Int.random(in: 0...stored.count, using: &generator)])
      }
      if round % 7 == 0 {
        stored = (0..<stored.count).map { _ in .random(in: 0...255, using: &generator) }
      }
      let count = Int.random(in: 1...30_000, using: &generator)
      do {
        _ = try decode(stored, as: algorithm, count: count, with: &decoder)
      } catch is DecodingError {
        refused += 1
      }
      if round % 100 == 0 {
        #expect(try decode(sound, as: algorithm, count: bytes.count, with: &decoder) == bytes)
      }
    }
    #expect(refused > 50)
  }

  /// Lengths in the framing that lead nowhere.
  @Test func impossibleLengthsOfLZO() throws {
    var decoder = RunDecoder()
    let sound = try CompressedBytes.run(Array(repeating: 7, count: 8192), as: .lzo4K)
    for (place, length) in [(0, 0), (0, 3), (0, 5000), (0, -1), (4, -1), (4, 4090), (4, 0)] {
      var stored = sound
      stored.replaceSubrange(place..<place + 4, with: CompressedBytes.littleEndian(length))
      #expect(throws: DecodingError.self, "\(length) at \(place)") {
        try decode(stored, as: .lzo4K, count: 8192, with: &decoder)
      }
    }
  }

  /// A frame that wants more memory for its window than a run can need.
  @Test func aHugeWindowIsRefused() throws {
    let context = ZSTD_createCCtx()
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27)
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)
    let bytes = [UInt8](repeating: 1, count: 100_000)
    var stored = [UInt8](repeating: 0, count: 200_000)
    let count = bytes.withUnsafeBytes { bytes in
      stored.withUnsafeMutableBytes { stored in
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        var output = ZSTD_outBuffer(dst: stored.baseAddress, size: stored.count, pos: 0)
        // First without the end, so that the encoder cannot know the size.
        _ = ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush)
        _ = ZSTD_compressStream2(context, &output, &input, ZSTD_e_end)
        return output.pos
      }
    }
    var decoder = RunDecoder()
    #expect(throws: DecodingError.self) {
      try decode(Array(stored[..<count]), as: .zstd, count: 100_000, with: &decoder)
    }
  }
}

/// What a portion takes of a run.
@Suite struct RunBufferTests {
  private func run(_ stored: [UInt8], decodesTo length: Int, from offset: Int) throws
    -> CompressedRun
  {
    try #require(
      CompressedRun(
        algorithm: .zstd, address: StoreAddress(store: StoreID(rawValue: 0), offset: 0),
        storedLength: UInt64(stored.count), decodedLength: UInt64(length), offset: UInt64(offset)))
  }

  @Test func piecesAnywhereAndZerosBehindTheEnd() throws {
    var generator = SeededGenerator(seed: 6)
    let bytes = generator.text(100_000)
    let stored = try CompressedBytes.run(bytes, as: .zstd)
    let expected = bytes + [UInt8](repeating: 0, count: 31_072)
    let buffer = RunBuffer()
    for forgets in [true, false] {
      for (offset, count, end) in [
        (0, 10, 131_072), (0, 131_072, 131_072), (5000, 70_000, 0), (99_000, 5000, 131_072),
        (131_071, 1, 0), (0, 1, 1), (120_000, 11_072, 131_072),
      ] {
        if forgets { buffer.forget() }
        let run = try run(stored, decodesTo: expected.count, from: offset)
        #expect(buffer.holds(run) == !forgets)
        if !buffer.holds(run) {
          buffer.room(for: run).copyBytes(from: stored)
          buffer.isFilled(with: run)
        }
        var target = [UInt8](repeating: 0xA5, count: count)
        try target.withUnsafeMutableBytes { try buffer.take($0, of: run, decodingTo: end) }
        #expect(target == Array(expected[offset..<offset + count]), "\(offset)")
      }
    }
  }
}
