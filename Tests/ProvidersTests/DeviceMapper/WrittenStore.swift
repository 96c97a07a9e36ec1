import ImageReader
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// A snapshot's origin and its store on one medium in memory, written in the order in which
/// the kernel does (drivers/md/dm-snap.c, dm-snap-persistent.c).
///
/// One thread writes; what the others use does not change, but for the medium.
final class WrittenStore: @unchecked Sendable {
  let chunkSize: Int
  let originSize: Int
  let storeSize: Int
  let medium: ArrayMedium
  /// What the snapshot shows.
  let frozen: [UInt8]
  private(set) var copied: Set<Int> = []
  /// The next chunk of the store that holds nothing.
  private(set) var nextFree = 2

  init(chunkSize: Int, originSize: Int, storeSize: Int) {
    self.chunkSize = chunkSize
    self.originSize = originSize
    self.storeSize = storeSize
    frozen = (0..<originSize).map { _ in .random(in: 0...255) }
    // A store that was in use before: only what the kernel zeroes is zero.
    var store = [UInt8](repeating: 0xA5, count: storeSize)
    store.set(UInt32(0x7041_6e53), at: 0)
    store.set(UInt32(1), at: 4)
    store.set(UInt32(1), at: 8)
    store.set(UInt32(chunkSize / 512), at: 12)
    medium = ArrayMedium(frozen + store)
    zeroArea(0)
  }

  private var perArea: Int { chunkSize / 16 }

  func slot(_ number: Int) -> Int {
    (1 + number / perArea * (perArea + 1)) * chunkSize + number % perArea * 16
  }

  func write(_ bytes: [UInt8], inStore offset: Int) {
    medium.replace(at: originSize + offset, with: bytes)
  }

  private func zeroArea(_ area: Int) {
    let offset = slot(area * perArea)
    guard offset + chunkSize <= storeSize else { return }
    write([UInt8](repeating: 0, count: chunkSize), inStore: offset)
  }

  /// Whether there is room for one more chunk.
  var hasRoom: Bool { (nextFree + 1) * chunkSize <= storeSize }

  /// Copies a chunk and notes it, unless it is there.
  func copy(_ chunk: Int) {
    guard hasRoom, copied.insert(chunk).inserted else { return }
    write(Array(frozen[range(of: chunk)]), inStore: nextFree * chunkSize)
    let number = copied.count - 1
    if number % perArea == perArea - 1 { zeroArea(number / perArea + 1) }
    var exception = [UInt8](repeating: 0, count: 16)
    exception.set(UInt64(chunk), at: 0)
    exception.set(UInt64(nextFree), at: 8)
    write(exception, inStore: slot(number))
    nextFree += 1
    if (nextFree - 1) % (perArea + 1) == 0 { nextFree += 1 }
  }

  /// Overwrites a chunk of the origin, which was copied.
  func overwrite(_ chunk: Int) {
    medium.replace(
      at: range(of: chunk).lowerBound,
      with: [UInt8](repeating: .random(in: 0...255), count: range(of: chunk).count))
  }

  func overflow() { write([0, 0, 0, 0], inStore: 4) }

  private func range(of chunk: Int) -> Range<Int> {
    chunk * chunkSize..<min((chunk + 1) * chunkSize, originSize)
  }

  /// - Parameter shown: as what the medium is read; `nil` for itself.
  func runs(on shown: (any Medium)? = nil) throws -> SnapshotRuns {
    let below = Layer(shown ?? medium)
    func part(_ title: String, _ range: Range<Int>) throws -> Layer {
      let run = LayerRun.linear(
        0..<UInt64(range.count), at: LayerAddress(layer: 0, offset: UInt64(range.lowerBound)))
      return Layer(
        try LayerMap(title: title, size: UInt64(range.count), lower: [below], runs: [run]))
    }
    return try SnapshotRuns(
      SnapshotRuns.Description(
        title: "snapshot", name: "vg/snap", size: UInt64(originSize),
        origin: part("origin", 0..<originSize),
        store: part("store", originSize..<originSize + storeSize)))
  }
}

extension LayerMap {
  /// What its own witness shows now.
  func witnessBytes() throws -> [UInt8] {
    try witness.flatMap { try lower[$0.layer].counted([$0]) }
  }
}
