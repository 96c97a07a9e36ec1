import FrozenImage
import ImageReader
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// A snapshot whose origin is written at every moment: there is no pause to wait for.
@Suite("Thick snapshots of a busy origin")
struct BusyOriginTests {
  /// Lets something happen before each read of a medium. Used by one thread.
  private final class BusyMedium: Medium, @unchecked Sendable {
    private let medium: any Medium
    private let event: () -> Void
    var isBusy = true

    var path: String { medium.path }
    var size: UInt64 { medium.size }

    init(_ medium: any Medium, event: @escaping () -> Void) {
      self.medium = medium
      self.event = event
    }

    func read(
      into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(MediumError) {
      if isBusy { event() }
      try medium.read(into: buffer, at: offset)
    }
  }

  private let store = WrittenStore(
    chunkSize: 512, originSize: 4000 * 512, storeSize: 5000 * 512)

  private func busyMedium() -> BusyMedium {
    BusyMedium(store.medium) { [store] in
      // The first chunks are what the medium is known by.
      let chunk = Int.random(in: 8..<4000)
      store.copy(chunk)
      store.overwrite(chunk)
    }
  }

  private func randomRange(upTo length: Int) -> Range<Int> {
    let start = Int.random(in: 0..<store.originSize)
    return start..<min(store.originSize, start + .random(in: 1...length))
  }

  @Test func reads() throws {
    let layer = Layer(try store.runs(on: busyMedium()).map())
    for _ in 0..<40 {
      let range = randomRange(upTo: 4096)
      let bytes = try layer.bytes(at: UInt64(range.lowerBound), count: range.count)
      #expect(bytes == Array(store.frozen[range]))
    }
  }

  /// Each look is of one moment, and comes without a pause; what a reader accepts by its ID,
  /// or because the next look has the same places, is right.
  @Test func looks() throws {
    let medium = busyMedium()
    let watch = StackWatch { [store] in
      FoundStack(
        try Stack(top: Layer(try store.runs(on: medium).map())), content: nil, pins: [])
    }
    var accepted = (byID: 0, byAnswer: 0)
    var stale = 0
    for turn in 0..<40 {
      medium.isBusy = true
      let look = try #require(try watch.look())
      let range = randomRange(upTo: 64 << 10)
      let places = try self.places(of: range, in: look)
      medium.isBusy = turn % 4 != 0
      var bytes: [UInt8] = []
      for place in places {
        bytes += try Layer(medium).bytes(at: place.copies[0].offset, count: Int(place.length))
      }
      if try look.stack.configurationID() == look.configurationID {
        accepted.byID += 1
      } else if try self.places(of: range, in: #require(try watch.look())) == places {
        accepted.byAnswer += 1
      } else {
        stale += 1
        continue
      }
      #expect(bytes == Array(store.frozen[range]), "turn \(turn)")
    }
    // Nothing is copied any more: what was known last is what a check finds.
    medium.isBusy = false
    let last = try #require(try watch.look())
    #expect(try watch.isPresent(last))
    #expect(accepted.byAnswer > 0 && stale > 0, "\(accepted) accepted, \(stale) stale")
    #expect(try last.stack.top.bytes(at: 0, count: store.originSize) == store.frozen)
  }

  /// The ID of a state is what the media showed then, not what they show when it is told.
  @Test func identifiesTheMoment() throws {
    let found = FoundStack(
      try Stack(top: Layer(try store.runs().map())), content: nil, pins: [])
    let before = try found.stack.configurationID()
    for chunk in 8..<16 { store.copy(chunk) }
    #expect(try found.settledID() == before)
    #expect(try found.stack.configurationID() != before)
    store.overflow()
    #expect(throws: StackError.self) { try found.settledID() }
  }

  private func places(
    of range: Range<Int>, in look: StackWatch.Look
  ) throws -> [StoreMap.PhysicalRun] {
    try look.stack.storeMap().resolve(
      StoreAddress(store: Stack.topStore, offset: UInt64(range.lowerBound)),
      length: UInt64(range.count))
  }
}
