import DataSets
import FrozenImage
import ImageReader
import Testing

@testable import StackProvider
@testable import VolumeLayers

/// A medium of which nothing can be read beyond its first bytes.
private struct FailingMedium: Medium {
  let whole: MemoryMedium
  /// Bytes from the start that can be read.
  let readable: UInt64

  var path: String { whole.path }
  var size: UInt64 { whole.size }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(MediumError) {
    guard offset + UInt64(buffer.count) <= readable else {
      throw MediumError(path: path, offset: offset, reason: "Input/output error")
    }
    try whole.read(into: buffer, at: offset)
  }
}

@Suite struct MirroredLayerTests {
  /// Bytes before the data of each medium, which tell it from its mirror.
  private static let header: UInt64 = 4096
  private static let element: UInt64 = 1000
  private static let content = (0..<100_500).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }

  /// Stripes of 1000 bytes over two columns with two copies each; the media of `failing`
  /// cannot be read.
  private static func layer(failing: Set<Int> = []) throws -> Layer {
    var columns: [[UInt8]] = [[], []]
    for start in stride(from: 0, to: content.count, by: Int(element)) {
      columns[start / Int(element) % 2] += content[start..<min(start + Int(element), content.count)]
    }
    let media = (0..<4).map { number -> any Medium in
      let head = [UInt8](repeating: UInt8(number + 1), count: Int(header))
      let whole = MemoryMedium(path: "leg \(number)", bytes: head + columns[number / 2])
      return failing.contains(number) ? FailingMedium(whole: whole, readable: header) : whole
    }
    let placement = try #require(
      Placement(
        columns: 2, copies: 2, stripeLength: element,
        targets: (0..<4).map { LayerAddress(layer: $0, offset: header) }))
    return Layer(
      try LayerMap(
        title: "a striped mirror", size: UInt64(content.count), lower: media.map { Layer($0) },
        runs: [LayerRun(0..<UInt64(content.count), .below(placement))]))
  }

  @Test func isReadAndResolvedThroughItsCopies() throws {
    try expectConformance(of: Self.layer(), to: Self.content)
  }

  @Test func isReadFromTheCopyThatCanBeRead() throws {
    let layer = try Self.layer(failing: [0, 3])
    #expect(try layer.bytes(at: 0, count: Self.content.count) == Self.content)
    let dead = try Self.layer(failing: [2, 3])
    #expect(throws: StackError.self) { try dead.bytes(at: 0, count: Self.content.count) }
  }

  /// A window of a mirrored layer lies on every copy, so that each of the media shows it.
  @Test func probesReachEveryCopy() throws {
    let layer = try Self.layer()
    let witness = ProbeWindow(layer: 0, offset: 5 * Self.element + 10, length: 16)
    let stack = try Stack(top: layer, witness: [witness])
    let shown = try stack.configurationID().entries.map(\.bytes)
    let expected = Array(Self.content[5010..<5026])
    #expect(shown.filter { $0 == expected }.count == 2)
  }

  @Test func columnBeyondALayerBelowIsRefused() throws {
    let short = Layer(MemoryMedium(path: "short", bytes: [UInt8](repeating: 0, count: 100)))
    let placement = try #require(
      Placement(
        columns: 1, copies: 2, stripeLength: 1,
        targets: [LayerAddress(layer: 0, offset: 0), LayerAddress(layer: 0, offset: 1)]))
    #expect(throws: StackError.self) {
      try LayerMap(
        title: "map", size: 100, lower: [short], runs: [LayerRun(0..<100, .below(placement))])
    }
  }
}
