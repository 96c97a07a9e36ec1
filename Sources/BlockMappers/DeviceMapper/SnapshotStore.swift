import DataSets
import FrozenImage
import VolumeLayers

/// The store of a thick dm-snapshot, which holds what the snapshot's origin no longer has.
///
/// It is cut into chunks. Chunk 0 begins with `struct disk_header`; then come areas: one
/// chunk of exceptions (`struct disk_exception`: the origin's chunk, and the store's chunk
/// that holds its old bytes; 8 bytes each), and as many chunks of data as it has room for
/// exceptions. All numbers are little-endian (drivers/md/dm-snap-persistent.c in the
/// kernel's sources). Exceptions are only ever added, in the order of their slots, and the
/// first slot whose second number is 0 is the next free one; a merge into the origin, which
/// takes them away again, is told by lvm2's metadata.
///
/// **The witness** is the header and the next free slot. A write to the origin is let go
/// only when the exceptions of its chunks are durable (`persistent_commit_exception` writes
/// them with a flush and FUA before it calls back, and `pending_complete` in dm-snap.c
/// releases the write after that), so a chunk is never overwritten before the slot shows it.
/// The next area is zeroed before the present one becomes full. When the store overflows,
/// or an exception cannot be kept, the header's `valid` is cleared before the origin's
/// writes go on (`persistent_drop_snapshot`). The slots before the free one, up to 4 KiB of
/// them, belong to the witness as well: an exception that was seen but lost by a crash, and
/// another in its slot, are two states.
struct SnapshotStore: Sendable {
  /// Bytes of a chunk.
  let chunkSize: UInt64
  /// Chunks of the store and of its origin.
  private let storeChunks: UInt64
  private let originChunks: UInt64
  /// For messages.
  private let title: String
  /// Slots in use.
  private(set) var count: UInt64 = 0
  /// Chunks of the origin that were copied, in ascending order, and where each lies now.
  private var copied: [UInt64] = []
  private var places: [UInt64] = []

  private enum Field {
    static let valid = 4
    static let version = 8
    static let chunkSize = 12
    static let length = 16
    /// An exception.
    static let slotLength: UInt64 = 16
  }

  private static let magic: UInt32 = 0x7041_6e53
  private static let version: UInt32 = 1
  private static let sector: UInt64 = 512
  /// Sectors; lvm2 makes chunks of 8 to 1024.
  private static let chunkSectors: ClosedRange<UInt64> = 1...32768
  /// Bytes that are read at once.
  private static let pieceLength: UInt64 = 64 << 10
  /// Bytes of slots in use that the witness has, at most.
  private static let witnessLength: UInt64 = 4096

  /// Reads the header of a store; `advance` reads the exceptions.
  ///
  /// - Parameters:
  ///   - layer: the store.
  ///   - originSize: bytes of the snapshot.
  ///   - title: of the snapshot, for messages.
  /// - Throws: `StackError` when there is no such store, or it overflowed.
  init(on layer: Layer, originSize: UInt64, title: String) throws(StackError) {
    let header = try Self.header(of: layer, title: title)
    chunkSize = header.chunkSize
    storeChunks = layer.size / chunkSize
    originChunks = originSize / chunkSize + (originSize % chunkSize == 0 ? 0 : 1)
    self.title = title
  }

  /// Reads what was added since the last time.
  ///
  /// - Throws: `StackError` when the store overflowed, cannot be read or is damaged.
  mutating func advance(on layer: Layer) throws(StackError) {
    var added: [(old: UInt64, new: UInt64)] = []
    var number = count
    search: while let start = slot(number) {
      let left = (exceptionsPerArea - number % exceptionsPerArea) * Field.slotLength
      let bytes = try layer.bytes(at: start, count: Int(min(left, Self.pieceLength)))
      for position in stride(from: 0, to: bytes.count, by: Int(Field.slotLength)) {
        let (old, new) = bytes.withUnsafeBytes { bytes in
          (
            bytes.number(at: position, as: UInt64.self) ?? 0,
            bytes.number(at: position + 8, as: UInt64.self) ?? 0
          )
        }
        guard new != 0 else { break search }
        // Each chunk is copied once.
        guard old < originChunks, number < originChunks, new < storeChunks, !isExceptions(new)
        else {
          throw StackError(
            .malformed,
            "the store of the \(title) is damaged: exception \(number) says that chunk \(old) lies "
              + "in chunk \(new)")
        }
        added.append((old, new))
        number += 1
      }
    }
    // Whatever was read counts for nothing when it overflowed meanwhile.
    try requireValid(on: layer)
    count = number
    try insert(added)
  }

  private mutating func insert(_ added: [(old: UInt64, new: UInt64)]) throws(StackError) {
    guard !added.isEmpty else { return }
    let sorted = added.sorted { $0.old < $1.old }
    var copied: [UInt64] = []
    var places: [UInt64] = []
    copied.reserveCapacity(self.copied.count + sorted.count)
    places.reserveCapacity(self.copied.count + sorted.count)
    var index = 0
    func take(upTo end: Int) {
      copied += self.copied[index..<end]
      places += self.places[index..<end]
      index = end
    }
    for (old, new) in sorted {
      take(upTo: firstIndex(from: old))
      guard copied.last != old, index >= self.copied.count || self.copied[index] != old else {
        throw StackError(
          .malformed, "the store of the \(title) is damaged: it holds chunk \(old) twice")
      }
      copied.append(old)
      places.append(new)
    }
    take(upTo: self.copied.count)
    self.copied = copied
    self.places = places
  }

  private struct Header {
    let chunkSize: UInt64
  }

  private static func header(of layer: Layer, title: String) throws(StackError) -> Header {
    guard layer.size >= UInt64(Field.length) else {
      throw StackError(.malformed, "the store of the \(title) has \(layer.size) bytes")
    }
    let bytes = try layer.bytes(at: 0, count: Field.length)
    let fields = bytes.withUnsafeBytes { bytes in
      stride(from: 0, to: Field.length, by: 4).map {
        bytes.number(at: $0, as: UInt32.self) ?? 0
      }
    }
    guard fields[0] == magic else {
      throw StackError(
        .malformed, "the store of the \(title) was not used yet, or is damaged: activate it once")
    }
    guard fields[Field.valid / 4] == 1 else {
      throw StackError.gone(
        "the \(title) overflowed, or its store could not be written, so what it held is lost: "
          + "remove it (lvremove) and make a larger one")
    }
    guard fields[Field.version / 4] == version else {
      throw StackError(
        .unsupported,
        "the store of the \(title) is of version \(fields[Field.version / 4]), which floe does not "
          + "know")
    }
    let sectors = UInt64(fields[Field.chunkSize / 4])
    guard chunkSectors.contains(sectors), sectors.nonzeroBitCount == 1,
      layer.size >= 2 * sectors * sector
    else {
      throw StackError(
        .malformed, "the store of the \(title) is damaged: it has chunks of \(sectors) sectors")
    }
    return Header(chunkSize: sectors * sector)
  }
}

// MARK: Places

extension SnapshotStore {
  private var exceptionsPerArea: UInt64 { chunkSize / Field.slotLength }

  /// Where a slot lies, bytes from the start of the store; `nil` beyond its end.
  private func slot(_ number: UInt64) -> UInt64? {
    let area = number / exceptionsPerArea
    let (areas, overflow) = area.multipliedReportingOverflow(by: exceptionsPerArea + 1)
    guard !overflow, areas < storeChunks, areas + 1 < storeChunks else { return nil }
    return (areas + 1) * chunkSize + number % exceptionsPerArea * Field.slotLength
  }

  /// Whether a chunk of the store holds the header or exceptions rather than data.
  private func isExceptions(_ chunk: UInt64) -> Bool {
    chunk == 0 || (chunk - 1) % (exceptionsPerArea + 1) == 0
  }

  /// - Throws: as `advance`.
  func requireValid(on layer: Layer) throws(StackError) {
    guard try Self.header(of: layer, title: title).chunkSize == chunkSize else {
      throw StackError(.malformed, "the store of the \(title) was made anew")
    }
  }

  /// The next free slot, which is zero until another chunk is copied; `nil` when there is no
  /// room for one.
  ///
  /// - Parameter index: of the store among the layers below.
  func vacant(as index: Int) -> ProbeWindow? {
    slot(count).map { ProbeWindow(layer: index, offset: $0, length: Int(Field.slotLength)) }
  }

  /// The header, the slots before the next free one, and that.
  ///
  /// - Parameter index: of the store among the layers below.
  func witness(as index: Int) -> [ProbeWindow] {
    var windows = [ProbeWindow(layer: index, offset: 0, length: Field.length)]
    /// The slots up to one, as far as they lie in its block and its area.
    func add(to number: UInt64) {
      guard let slot = slot(number) else { return }
      let area = slot - number % exceptionsPerArea * Field.slotLength
      let start = max(area, slot / Self.witnessLength * Self.witnessLength)
      windows.append(
        ProbeWindow(
          layer: index, offset: start, length: Int(slot + Field.slotLength - start)))
    }
    // The last one lies in another area.
    if count > 0, count % exceptionsPerArea == 0 { add(to: count - 1) }
    add(to: count)
    return windows
  }

  /// The snapshot's bytes: chunks that were copied in the store, all others in the origin.
  ///
  /// - Parameters:
  ///   - range: bytes of the snapshot.
  ///   - origin: its index among the layers below, and that of the store.
  func runs(in range: Range<UInt64>, origin: Int, store: Int) -> [LayerRun] {
    var runs: [LayerRun] = []
    var position = range.lowerBound
    func add(to end: UInt64, _ address: LayerAddress) {
      guard position < end else { return }
      runs.append(.linear(position..<end, at: address))
      position = end
    }
    var index = firstIndex(from: range.lowerBound / chunkSize)
    while index < copied.count {
      let start = copied[index] * chunkSize
      guard start < range.upperBound else { break }
      add(to: max(start, range.lowerBound), LayerAddress(layer: origin, offset: position))
      // Chunks that were copied one after the other lie one after the other.
      var next = index + 1
      while next < copied.count, copied[next] == copied[next - 1] + 1,
        places[next] == places[next - 1] + 1
      {
        next += 1
      }
      let end = start + UInt64(next - index) * chunkSize
      let place = places[index] * chunkSize + (position - start)
      add(to: min(end, range.upperBound), LayerAddress(layer: store, offset: place))
      index = next
    }
    add(to: range.upperBound, LayerAddress(layer: origin, offset: position))
    return runs
  }

  /// The first chunk that was copied, at or after a chunk.
  private func firstIndex(from chunk: UInt64) -> Int {
    copied.partitioningIndex { $0 >= chunk }
  }
}
