import FrozenImage

@testable import Decoding

/// The first byte of an input chooses the encoding, the next two the room, the rest is a
/// compressed run.
func fuzzDecoder(_ input: [UInt8]) {
  guard input.count > 3 else { return }
  let algorithms = CompressionAlgorithm.allCases
  let algorithm = algorithms[Int(input[0]) % algorithms.count]
  let room = (Int(input[1]) | Int(input[2]) << 8) * 2 + 1
  var decoder = RunDecoder()
  // Twice, as a decoder is used again after a failure.
  for _ in 0..<2 {
    let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: input.count - 3, alignment: 1)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
    stored.copyBytes(from: input[3...])
    let count = try? decoder.decode(UnsafeRawBufferPointer(stored), as: algorithm, into: output)
    require((0...room).contains(count ?? 0), "a decoder fills what it has")
    stored.deallocate()
    output.deallocate()
  }
}
