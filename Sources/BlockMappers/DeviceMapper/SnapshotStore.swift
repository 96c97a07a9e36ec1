import DataSets
import FrozenImage
import Glibc
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
/// them, and the first of its area belong to the witness as well: an exception that was seen
/// but lost by a crash, and another in its slot, are two states.
///
/// **After a loss of power** an area may be torn: a later sector of its last write arrived,
/// an earlier one did not. The kernel takes the exceptions up to the first free slot, and
/// keeps what stands behind it; once the slot is filled, that looks as if it counted. So an
/// area with anything behind its first free slot is refused until it has nothing there.
struct SnapshotStore: Sendable {
  /// Bytes of a chunk.
  let chunkSize: UInt64
  /// Chunks of the store and of its origin.
  let storeChunks: UInt64
  let originChunks: UInt64
  /// For messages.
  let title: String
  private let looks: Int
  /// Slots in use.
  private(set) var count: UInt64 = 0
  /// Times that slots which were seen in use were others later.
  private var losses: UInt64 = 0
  /// The bytes of the last slots in use, as far as the witness has them.
  private var seen: [UInt8] = []
  /// Chunks of the origin that were copied, in ascending order, and where each lies now.
  private(set) var copied: [UInt64] = []
  private(set) var places: [UInt64] = []

  enum Field {
    static let valid = 4
    static let version = 8
    static let chunkSize = 12
    static let length = 16
    /// An exception.
    static let slotLength: UInt64 = 16
  }

  private static let magic: UInt32 = 0x7041_6e53
  private static let version: UInt32 = 1
  static let sector: UInt64 = 512
  /// Sectors; lvm2 makes chunks of 8 to 1024.
  private static let chunkSectors: ClosedRange<UInt64> = 1...32768
  /// Bytes that are read at once.
  private static let pieceLength: UInt64 = 64 << 10
  /// Microseconds between two looks at an area that is written at this moment.
  private static let pause: UInt32 = 2000
  /// Bits of `number` that count slots; a store of 2^48 chunks of 512 bytes has 2^57 bytes.
  private static let countBits: UInt64 = 48

  /// Reads the header of a store; `advance` reads the exceptions.
  ///
  /// - Parameters:
  ///   - layer: the store.
  ///   - originSize: bytes of the snapshot.
  ///   - title: of the snapshot, for messages.
  ///   - looks: at an area that is written at this moment; at least one.
  /// - Throws: `StackError` when there is no such store, or it overflowed.
  init(on layer: Layer, originSize: UInt64, title: String, looks: Int) throws(StackError) {
    self.looks = looks
    let header = try Self.header(of: layer, title: title)
    chunkSize = header.chunkSize
    storeChunks = layer.size / chunkSize
    originChunks = originSize / chunkSize + (originSize % chunkSize == 0 ? 0 : 1)
    self.title = title
  }

  /// Which state of the store this is: another one with each exception, and with each loss.
  var number: UInt64 { losses << Self.countBits | count }

  /// Whether nothing that counted in a state was lost since.
  func continues(_ number: UInt64) -> Bool { number >> Self.countBits == losses }

  /// Percent of the store that is in use: its header, its areas, and a chunk for each exception,
  /// as the kernel counts (`persistent_usage`).
  var percent: Double {
    let used = 1 + count / exceptionsPerArea + 1 + count
    return Double(used) / Double(max(storeChunks, 1)) * 100
  }

  /// Reads what was added since the last time; all of it, when something was lost.
  ///
  /// - Throws: `StackError` when the store overflowed, cannot be read or is damaged.
  mutating func advance(on layer: Layer) throws(StackError) {
    for _ in 0..<looks {
      switch try look(on: layer) {
      case .added(let added, let seen):
        // Whatever was read counts for nothing when it overflowed meanwhile.
        try requireValid(on: layer)
        try insert(added)
        count += UInt64(added.count)
        self.seen = seen
        return
      case .lost:
        count = 0
        seen = []
        copied = []
        places = []
        losses += 1
      case .torn:
        usleep(Self.pause)
      }
    }
    throw StackError(
      .inUse,
      "the store of the \(title) has exceptions behind a free slot: the production host lost power "
        + "while it wrote them. Remove the snapshot (lvremove), and freeze another one")
  }

  /// What a look at the slots from the known ones on shows.
  private enum Look {
    case added([Exception], seen: [UInt8])
    /// Known slots hold something else.
    case lost
    /// Something stands behind a free slot.
    case torn
  }

  /// `struct disk_exception`: a chunk of the origin, and the store's that holds its bytes.
  private struct Exception {
    let old: UInt64
    let new: UInt64
  }

  private func look(on layer: Layer) throws(StackError) -> Look {
    var added: [Exception] = []
    var seen: [UInt8] = []
    var number = count - UInt64(self.seen.count) / Field.slotLength
    var isFree = false
    while let start = slot(number) {
      let left = (exceptionsPerArea - number % exceptionsPerArea) * Field.slotLength
      let bytes = try layer.bytes(at: start, count: Int(min(left, Self.pieceLength)))
      if number < count, bytes.prefix(self.seen.count) != self.seen[...] { return .lost }
      for position in stride(from: 0, to: bytes.count, by: Int(Field.slotLength)) {
        let exception = bytes.withUnsafeBytes { bytes in
          Exception(
            old: bytes.number(at: position, as: UInt64.self) ?? 0,
            new: bytes.number(at: position + 8, as: UInt64.self) ?? 0)
        }
        if exception.new == 0 { isFree = true }
        if isFree, exception.old != 0 || exception.new != 0 { return .torn }
        guard !isFree else { continue }
        if witnessStart(of: number) == number { seen = [] }
        seen += bytes[position..<position + Int(Field.slotLength)]
        if number >= count {
          try check(exception, inSlot: number)
          added.append(exception)
        }
        number += 1
      }
      guard isFree else { continue }
      // The rest of the area.
      let end = start + left
      var rest = start + UInt64(bytes.count)
      while rest < end {
        let bytes = try layer.bytes(at: rest, count: Int(min(end - rest, Self.pieceLength)))
        guard bytes.allSatisfy({ $0 == 0 }) else { return .torn }
        rest += UInt64(bytes.count)
      }
      break
    }
    return .added(added, seen: seen)
  }

  private func check(_ exception: Exception, inSlot number: UInt64) throws(StackError) {
    // Each chunk is copied once.
    guard exception.old < originChunks, number < originChunks, exception.new < storeChunks,
      !isExceptions(exception.new)
    else {
      throw StackError(
        .malformed,
        "the store of the \(title) is damaged: exception \(number) says that chunk "
          + "\(exception.old) lies in chunk \(exception.new)")
    }
  }

  private mutating func insert(_ added: [Exception]) throws(StackError) {
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
    for exception in sorted {
      let old = exception.old
      take(upTo: firstIndex(from: old))
      guard copied.last != old, index >= self.copied.count || self.copied[index] != old else {
        throw StackError(
          .malformed, "the store of the \(title) is damaged: it holds chunk \(old) twice")
      }
      copied.append(old)
      places.append(exception.new)
    }
    take(upTo: self.copied.count)
    self.copied = copied
    self.places = places
  }

  struct Header {
    let chunkSize: UInt64
  }

  static func header(of layer: Layer, title: String) throws(StackError) -> Header {
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
