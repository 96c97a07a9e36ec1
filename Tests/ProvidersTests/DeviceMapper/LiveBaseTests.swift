import DataSets
import FrozenImage
import Testing

@testable import VolumeLayers

/// What a snapshot lies on is looked at all the way down.
@Suite("What lies below a snapshot")
struct LiveBaseTests {
  private let medium = ArrayMedium([UInt8](repeating: 1, count: 64 << 10))

  /// A map of a whole layer whose witness is its sector at an offset.
  private func layer(
    over below: Layer, witness offset: UInt64, _ content: LayerRun.Content? = nil,
    allocates: Bool = false
  ) throws -> Layer {
    let whole = 0..<below.size
    let run =
      content.map { LayerRun(whole, $0) } ?? .linear(whole, at: LayerAddress(layer: 0, offset: 0))
    return Layer(
      try LayerMap(
        title: "map", size: below.size, lower: [below], runs: [run],
        witness: [ProbeWindow(layer: 0, offset: offset, length: 512)], allocates: allocates))
  }

  @Test(arguments: [0, 512, 1024])
  func aChangeOfAnyLayerBelowIsSeen(at place: Int) throws {
    let partition = try layer(over: Layer(medium), witness: 0)
    let outer = try layer(over: partition, witness: 512)
    let base = try LiveBase(of: [try layer(over: outer, witness: 1024)])
    try base.requirePresent("snapshot")
    medium.replace(at: place + 7, with: [2])
    let error = #expect(throws: StackError.self) { try base.requirePresent("snapshot") }
    #expect(error?.code == .inUse)
  }

  @Test func bytesThatLieNowhereAreRefused() throws {
    let image = try layer(over: Layer(medium), witness: 0, .zeros)
    let error = #expect(throws: StackError.self) {
      try LiveBase(of: [try layer(over: image, witness: 512)])
    }
    #expect(error?.code == .unsupported)
  }

  /// A disk image of which every byte has a place may give them others.
  @Test func aDiskImageIsRefused() throws {
    let image = try layer(over: Layer(medium), witness: 0, allocates: true)
    let error = #expect(throws: StackError.self) {
      try LiveBase(of: [try layer(over: image, witness: 512)])
    }
    #expect(error?.code == .unsupported)
  }
}
