import FrozenImage
import Glibc
import ImageReader
import Logging
import Media
import Testing
import VerifiedReading

/// A reader of an image, on the devices of its volume.
func reader(
  of image: DescribedImage, _ change: (inout BlockingReader.Options) -> Void = { _ in }
) throws -> BlockingReader {
  var options = BlockingReader.Options()
  change(&options)
  return try BlockingReader(
    representation: image.representation, volume: image.volume,
    media: MediaTable { description, _ in try OpenMedium(path: description.path) },
    source: image.source, options: options,
    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

extension BlockingReader {
  /// A piece of a file.
  func bytes(of node: NodeIndex, at offset: Int, count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: count)
    let got = try bytes.withUnsafeMutableBytes {
      try read(node, at: UInt64(offset), into: $0)
    }
    return Array(bytes[..<got])
  }

  /// Compares all files with the snapshot: each as a whole in pieces of up to 1 MiB, and
  /// pieces anywhere.
  ///
  /// - Returns: bytes that were compared.
  @discardableResult
  func expectEveryFile(
    of image: DescribedImage, randomReads: Int, seed: UInt64,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Int {
    var generator = SplitMix64(state: seed)
    var compared = 0
    for file in try image.files() {
      let expected = try image.contents(of: file)
      for start in stride(from: 0, to: expected.count, by: 1 << 20) {
        let end = min(start + 1 << 20, expected.count)
        let found = try bytes(of: file.node, at: start, count: 1 << 20)
        #expect(
          expected.holds(found, at: start, upTo: end), "\(file.text) at \(start)",
          sourceLocation: sourceLocation)
        compared += found.count
      }
      for _ in 0..<(expected.isEmpty ? 0 : randomReads) {
        let start = Int.random(in: 0..<expected.count, using: &generator)
        let longest = [1, 100, 5000, 300_000].randomElement(using: &generator) ?? 1
        let count = Int.random(in: 1...longest, using: &generator)
        let found = try bytes(of: file.node, at: start, count: count)
        #expect(
          expected.holds(found, at: start, upTo: min(start + count, expected.count)),
          "\(file.text) at \(start), \(count) bytes, seed \(seed)", sourceLocation: sourceLocation)
        compared += found.count
      }
    }
    return compared
  }
}

extension [UInt8] {
  /// Whether a part of the bytes, up to an end, is equal to others. (A comparison of
  /// slices takes long where nothing is optimised.)
  fileprivate func holds(_ other: [UInt8], at start: Int, upTo end: Int) -> Bool {
    guard other.count == end - start else { return false }
    return withUnsafeBytes { mine in
      other.withUnsafeBytes { other in
        guard let first = mine.baseAddress, let second = other.baseAddress else { return true }
        return memcmp(first + start, second, other.count) == 0
      }
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
