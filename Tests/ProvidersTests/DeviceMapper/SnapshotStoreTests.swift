import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

@Suite("Thick snapshots")
struct SnapshotStoreTests {
  /// Chunks with areas of 32 exceptions, and those that lvm2 makes.
  @Test(arguments: [512, 4096])
  func showsWhatWasFrozen(chunkSize: Int) throws {
    // The last chunk is cut short.
    let store = WrittenStore(
      chunkSize: chunkSize, originSize: 300 * chunkSize - 256, storeSize: 400 * chunkSize)
    for _ in 0..<220 {
      let first = Int.random(in: 0..<300)
      // Mostly one behind the other, as writes are.
      for chunk in first..<min(300, first + .random(in: 1...4)) {
        store.copy(chunk)
        store.overwrite(chunk)
      }
    }
    store.copy(299)
    store.overwrite(299)
    let layer = Layer(try store.runs().map())
    try expectConformance(of: layer, to: store.frozen)
    // Whole runs, not chunks.
    guard case .mapped(let map) = layer.substance else { return }
    #expect(map.runs.count < 2 * store.copied.count)
  }

  /// As the kernel counts: what is free begins at the next free chunk.
  @Test func tellsHowFullItIs() throws {
    let store = WrittenStore(chunkSize: 512, originSize: 200 * 512, storeSize: 300 * 512)
    let runs = try store.runs()
    for chunk in 0..<200 {
      let fill = try runs.fill()
      #expect(fill.data == Double(store.nextFree) / 300 * 100, "chunk \(chunk)")
      #expect(fill.title == "the snapshot vg/snap" && fill.metadata == nil)
      store.copy(chunk)
    }
    let stack = try FoundStack(Stack(top: Layer(runs.map())), content: nil, pins: [])
    #expect(stack.fill()?.level == 0)
    #expect(try stack.fill() == runs.fill())
    store.overflow()
    #expect(stack.fill() == nil)
  }

  @Test func untouchedOrigin() throws {
    let store = WrittenStore(chunkSize: 4096, originSize: 65536, storeSize: 65536)
    let map = try store.runs().map()
    #expect(map.runs == [.linear(0..<65536, at: LayerAddress(layer: 0, offset: 0))])
    try expectConformance(of: Layer(map), to: store.frozen)
  }

  /// No chunk of the origin is overwritten before the witness of every map that points to
  /// it has changed, and what is read is right at each moment.
  @Test func witnessComesFirst() throws {
    let store = WrittenStore(chunkSize: 512, originSize: 200 * 512, storeSize: 300 * 512)
    let runs = try store.runs()
    let layer = Layer(try runs.map())
    var map = try runs.map()
    for chunk in (0..<200).shuffled() {
      let before = try map.witnessBytes()
      let number = try #require(map.live).number
      #expect(try runs.successor(of: number) == nil)
      store.copy(chunk)
      #expect(try map.witnessBytes() != before, "chunk \(chunk)")
      store.overwrite(chunk)
      let start = Int.random(in: 0..<store.originSize)
      let end = min(store.originSize, start + .random(in: 1...5000))
      // The layer's own map is that of the first moment.
      #expect(
        try layer.bytes(at: UInt64(start), count: end - start) == Array(store.frozen[start..<end]))
      map = try #require(try runs.successor(of: number))
      #expect(map.live?.number == UInt64(store.copied.count))
    }
    try expectConformance(of: Layer(map), to: store.frozen)
  }

  /// An exception that a crash lost, and another in its place, are two states.
  @Test func lostException() throws {
    let store = WrittenStore(chunkSize: 512, originSize: 100 * 512, storeSize: 200 * 512)
    for count in [1, 31, 32, 33] {
      while store.copied.count < count { store.copy(store.copied.count) }
      let map = try store.runs().map()
      let before = try map.witnessBytes()
      store.write([99], inStore: store.slot(count - 1))
      #expect(try map.witnessBytes() != before, "\(count) exceptions")
      store.write([UInt8(count - 1)], inStore: store.slot(count - 1))
      #expect(try map.witnessBytes() == before)
    }
  }

  /// A loss of power that tore an area: the kernel keeps what stands behind the first free
  /// slot, and it would seem to count once the slot is filled.
  @Test(arguments: [512, 65536])
  func tornArea(chunkSize: Int) throws {
    let store = WrittenStore(
      chunkSize: chunkSize, originSize: 100 * chunkSize, storeSize: 200 * chunkSize)
    for chunk in 0..<5 { store.copy(chunk) }
    let free = [UInt8](repeating: 0, count: 16)
    let third = try store.runs().description.store.bytes(at: UInt64(store.slot(2)), count: 16)
    store.write(free, inStore: store.slot(2))
    let error = #expect(throws: StackError.self) { try store.runs() }
    #expect(error?.code == .inUse)
    #expect(error?.description.contains("exceptions behind a free slot") == true)
    // The write was under way, and is done.
    store.write(third, inStore: store.slot(2))
    let runs = try store.runs()
    #expect(try runs.map().live?.number == 5)
    // Far behind, in the same area.
    let last = store.slot(chunkSize / 16 - 1)
    store.write([9], inStore: last)
    #expect(throws: StackError.self) { try runs.successor(of: 5) }
    store.write(free, inStore: last)
    #expect(try runs.successor(of: 5) == nil)
  }

  /// A loss of power took back exceptions that were seen already; others came in their place.
  @Test func exceptionsAreLostAndOthersCome() throws {
    let store = WrittenStore(chunkSize: 4096, originSize: 100 * 4096, storeSize: 200 * 4096)
    for chunk in 0..<5 { store.copy(chunk) }
    let runs = try store.runs()
    let map = try runs.map()
    let before = try map.witnessBytes()
    let number = try #require(map.live).number
    #expect(try runs.confirms(number))
    // Chunk 4 lies in the origin again, and chunk 50 where it was.
    store.write([50], inStore: store.slot(4))
    #expect(try map.witnessBytes() != before)
    #expect(try !runs.confirms(number))
    let next = try #require(try runs.successor(of: number))
    #expect(next.live?.number != number)
    guard case .below(let origin)? = next.runs(in: 4 * 4096..<4 * 4096 + 1).first?.content else {
      Issue.record("chunk 4 lies nowhere")
      return
    }
    #expect(origin.targets.first?.layer == 0)
  }

  /// A store that has no slot left is still right: nothing can be added.
  @Test func fullStore() throws {
    for chunks in [34, 35, 36, 66, 67, 68] {
      let store = WrittenStore(chunkSize: 512, originSize: 100 * 512, storeSize: chunks * 512)
      for chunk in (0..<100).shuffled() where store.hasRoom {
        store.copy(chunk)
        store.overwrite(chunk)
      }
      try expectConformance(of: Layer(store.runs().map()), to: store.frozen)
    }
  }

  /// Never a byte of the origin: it was overwritten where the store had no room.
  @Test func overflow() throws {
    let store = WrittenStore(chunkSize: 4096, originSize: 65536, storeSize: 65536)
    store.copy(3)
    let runs = try store.runs()
    let map = try runs.map()
    let before = try map.witnessBytes()
    store.overflow()
    #expect(try map.witnessBytes() != before)
    store.overwrite(7)
    let gone = StackError.gone(
      "the snapshot overflowed, or its store could not be written, so what it held is lost: "
        + "remove it (lvremove) and make a larger one")
    #expect(throws: gone) { try Layer(map).bytes(at: 7 * 4096, count: 1) }
    #expect(throws: gone) { try runs.successor(of: 1) }
    #expect(throws: gone) { try store.runs() }
  }

  @Test func damage() throws {
    let size = 64 * 512
    func refusal(_ change: (WrittenStore) -> Void) throws -> String {
      let store = WrittenStore(chunkSize: 512, originSize: size, storeSize: size)
      for chunk in 0..<3 { store.copy(chunk) }
      change(store)
      do {
        _ = try store.runs()
        return "not refused"
      } catch let error as StackError {
        return error.description
      }
    }
    #expect(try refusal { $0.write([1], inStore: 0) }.contains("was not used yet, or is damaged"))
    #expect(try refusal { $0.write([2], inStore: 8) }.contains("version 2"))
    for sectors: UInt8 in [0, 3, 128] {
      #expect(try refusal { $0.write([sectors], inStore: 12) }.contains("chunks of \(sectors)"))
    }
    let damaged = "the store of the snapshot is damaged: "
    // Beyond the origin, beyond the store, in the header, among the exceptions, twice.
    let cases: [(old: UInt8, new: UInt8, why: String)] = [
      (64, 4, "exception 2 says that chunk 64 lies in chunk 4"),
      (2, 64, "exception 2 says that chunk 2 lies in chunk 64"),
      (2, 1, "exception 2 says that chunk 2 lies in chunk 1"),
      (2, 34, "exception 2 says that chunk 2 lies in chunk 34"),
      (1, 4, "it holds chunk 1 twice"),
    ]
    for (old, new, why) in cases {
      let found = try refusal {
        $0.write([old], inStore: $0.slot(2))
        $0.write([new], inStore: $0.slot(2) + 8)
      }
      #expect(found == damaged + why)
    }
  }

  /// Whatever the store holds, it is refused or read, and nothing traps.
  @Test func hostileBytes() throws {
    for _ in 0..<400 {
      let store = WrittenStore(
        chunkSize: 512, originSize: 64 * 512, storeSize: .random(in: 20...90) * 512)
      for chunk in (0..<64).shuffled().prefix(.random(in: 0...64)) { store.copy(chunk) }
      for _ in 0..<Int.random(in: 1...6) {
        let place = Bool.random() ? Int.random(in: 0..<16) : store.slot(.random(in: 0..<20))
        store.write(
          (0..<Int.random(in: 1...16)).map { _ in [0, 1, 0x7F, 0xFF].randomElement() ?? 0 },
          inStore: place)
      }
      guard let runs = try? store.runs(), let map = try? runs.map() else { continue }
      _ = try? Layer(map).bytes(at: 0, count: store.originSize)
      _ = try? Stack(top: Layer(map)).media()
    }
  }
}
