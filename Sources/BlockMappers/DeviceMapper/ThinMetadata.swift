import DataSets
import FrozenImage
import VolumeLayers

/// The metadata of a thin pool, read while the pool is in use.
///
/// Block 0 is the superblock (`struct thin_disk_superblock`, drivers/md/dm-thin-metadata.c in
/// the kernel's sources); the others that count here are nodes of B-trees (`struct btree_node`,
/// drivers/md/persistent-data/dm-btree-internal.h). One tree leads from a device's number to
/// the root of the device's own tree, which leads from its chunks to those of the pool's data
/// volume. Every block has a CRC-32C, without the inversion at the end, and exclusive-or a
/// number for its kind (`dm_bm_checksum`). All numbers are little-endian.
///
/// A block that the committed trees hold is never overwritten before a later commit has
/// freed it (`dm_tm_shadow_block`), and a commit writes the superblock last, after a flush
/// (`dm_tm_commit`). So what was read from the superblock down is one state if the superblock
/// is the same afterwards.
struct ThinMetadata: Sendable {
  private let layer: Layer
  /// For messages: "thin pool vg/pool".
  let title: String

  static let blockSize: UInt64 = 4096
  /// Levels of a tree; 126 entries and more are in a node of a full one.
  private static let maximumDepth = 16

  private enum Field {
    static let checksum = 0
    static let flags = 4
    static let block = 8
    static let magic = 32
    static let version = 40
    static let dataRoom = 64
    static let metadataRoom = 192
    static let mappingRoot = 320
    static let dataBlockSize = 336
    static let metadataBlockSize = 340
    static let incompatibleFlags = 360
    static let superblockLength = 364
    static let entryCount = 16
    static let maximumEntries = 20
    static let valueSize = 24
    static let nodeHeader = 32
  }

  private static let magic: UInt64 = 27_022_010
  private static let superblockKind: UInt32 = 160_774
  private static let nodeKind: UInt32 = 121_107
  private static let needsCheck: UInt32 = 1
  private static let leaf: UInt32 = 2

  init(on layer: Layer, title: String) {
    self.layer = layer
    self.title = title
  }

  struct Superblock: Hashable {
    /// The fields that change with every commit, and all that lie between.
    let bytes: [UInt8]
    let mappingRoot: UInt64
    /// Bytes of a chunk of the pool.
    let chunkSize: UInt64
    /// Chunks of the pool's data, and blocks of its metadata.
    let data, metadata: Room
  }

  /// What a space map says of itself (`struct disk_sm_root`,
  /// drivers/md/persistent-data/dm-space-map-common.h).
  struct Room: Hashable {
    let count, used: UInt64

    var percent: Double { Double(used) / Double(max(count, 1)) * 100 }
  }

  /// The superblock, whose first bytes change with every commit.
  func witness(as index: Int) -> ProbeWindow {
    ProbeWindow(layer: index, offset: 0, length: Field.superblockLength)
  }

  /// - Throws: `StackError` when it is damaged, of a format that floe does not know, or says
  ///   that the metadata need a repair.
  func superblock() throws(StackError) -> Superblock {
    let bytes = try block(0, kind: Self.superblockKind)
    func number<Number: FixedWidthInteger>(_ offset: Int) -> Number {
      bytes.withUnsafeBytes { $0.number(at: offset) } ?? 0
    }
    guard number(Field.magic) == Self.magic else {
      throw StackError(.malformed, "the metadata of the \(title) have no superblock")
    }
    let version: UInt32 = number(Field.version)
    guard (1...2).contains(version) else {
      throw StackError(
        .unsupported,
        "the metadata of the \(title) are of version \(version), which floe does not know")
    }
    let incompatible: UInt32 = number(Field.incompatibleFlags)
    guard incompatible == 0 else {
      throw StackError(
        .unsupported,
        "the metadata of the \(title) have the incompatible features "
          + "\(String(incompatible, radix: 16)) (hexadecimal), which floe does not know")
    }
    let flags: UInt32 = number(Field.flags)
    guard flags & Self.needsCheck == 0 else {
      throw StackError(
        .malformed, "the \(title) is marked needs_check: repair it first (lvconvert --repair)")
    }
    let metadataBlock: UInt32 = number(Field.metadataBlockSize)
    let chunk: UInt32 = number(Field.dataBlockSize)
    guard UInt64(metadataBlock) * 512 == Self.blockSize, (128...2_097_152).contains(chunk) else {
      throw StackError(
        .malformed,
        "the metadata of the \(title) have blocks of \(metadataBlock) and chunks of \(chunk) sectors"
      )
    }
    return Superblock(
      bytes: Array(bytes[..<Field.superblockLength]), mappingRoot: number(Field.mappingRoot),
      chunkSize: UInt64(chunk) * 512,
      data: Room(count: number(Field.dataRoom), used: number(Field.dataRoom + 8)),
      metadata: Room(count: number(Field.metadataRoom), used: number(Field.metadataRoom + 8)))
  }

  /// What a device's entry in the pool's tree says: where its own tree begins, and the
  /// checksum of that block, which changes with every chunk that is mapped elsewhere.
  struct Entry: Hashable {
    let root: UInt64
    let checksum: UInt32
  }

  /// - Returns: `nil` when the pool has no such device.
  func entry(of device: UInt64, in superblock: Superblock) throws(StackError) -> Entry? {
    var number = superblock.mappingRoot
    for _ in 0..<Self.maximumDepth {
      let node = try node(number)
      let index = node.keys.lastIndex { $0 <= device }
      guard let index else { return nil }
      let value = try node.value(index, title: title)
      if !node.isLeaf {
        number = value
        continue
      }
      guard node.keys[index] == device else { return nil }
      return Entry(root: value, checksum: try self.node(value).checksum)
    }
    throw StackError(
      .malformed, "a tree of the metadata of the \(title) is deeper than a tree can be")
  }

  /// Chunks of a device that lie one after the other in the pool, too.
  struct Run: Hashable {
    var chunks: Range<UInt64>
    /// Where the first lies, in chunks.
    let place: UInt64
  }

  /// The chunks of a device that lie in the pool, in ascending order.
  func runs(of entry: Entry) throws(StackError) -> [Run] {
    var runs: [Run] = []
    try walk(entry.root, keys: 0..<UInt64.max, depth: 0, into: &runs)
    return runs
  }

  private func walk(
    _ number: UInt64, keys: Range<UInt64>, depth: Int, into runs: inout [Run]
  ) throws(StackError) {
    guard depth < Self.maximumDepth else {
      throw StackError(
        .malformed, "a tree of the metadata of the \(title) is deeper than a tree can be")
    }
    let node = try node(number)
    for index in node.keys.indices {
      let key = node.keys[index]
      let next = index + 1 < node.keys.count ? node.keys[index + 1] : keys.upperBound
      // A child that covers less than its place, always: so that no circle is walked for ever.
      guard keys.contains(key), key < next else {
        throw StackError(
          .malformed, "block \(number) of the metadata of the \(title) has keys out of order")
      }
      let value = try node.value(index, title: title)
      guard node.isLeaf else {
        try walk(value, keys: key..<min(next, keys.upperBound), depth: depth + 1, into: &runs)
        continue
      }
      // 40 bits of the place, 24 of the time when it was mapped.
      let place = value >> 24
      if let last = runs.last, last.chunks.upperBound == key,
        last.place + UInt64(last.chunks.count) == place
      {
        runs[runs.count - 1].chunks = last.chunks.lowerBound..<key + 1
      } else {
        runs.append(Run(chunks: key..<key + 1, place: place))
      }
    }
  }

  // MARK: Blocks

  private struct Node {
    let number: UInt64
    let checksum: UInt32
    let isLeaf: Bool
    let keys: [UInt64]
    let bytes: [UInt8]
    let maximum: Int

    func value(_ index: Int, title: String) throws(StackError) -> UInt64 {
      let offset = Field.nodeHeader + 8 * maximum + 8 * index
      guard let value: UInt64 = bytes.withUnsafeBytes({ $0.number(at: offset) }) else {
        throw StackError(.malformed, "block \(number) of the metadata of the \(title) is cut short")
      }
      return value
    }
  }

  private func node(_ number: UInt64) throws(StackError) -> Node {
    let bytes = try block(number, kind: Self.nodeKind)
    func field(_ offset: Int) -> UInt32 { bytes.withUnsafeBytes { $0.number(at: offset) } ?? 0 }
    let count = field(Field.entryCount)
    let maximum = field(Field.maximumEntries)
    let room = (Self.blockSize - UInt64(Field.nodeHeader)) / 16
    guard count <= maximum, UInt64(maximum) <= room, field(Field.valueSize) == 8 else {
      throw StackError(
        .malformed,
        "block \(number) of the metadata of the \(title) is no node: it has \(count) of \(maximum) "
          + "entries")
    }
    let keys = bytes.withUnsafeBytes { bytes in
      (0..<Int(count)).map { bytes.number(at: Field.nodeHeader + 8 * $0, as: UInt64.self) ?? 0 }
    }
    return Node(
      number: number, checksum: field(Field.checksum), isLeaf: field(Field.flags) & Self.leaf != 0,
      keys: keys, bytes: bytes, maximum: Int(maximum))
  }

  private func block(_ number: UInt64, kind: UInt32) throws(StackError) -> [UInt8] {
    guard number < layer.size / Self.blockSize else {
      throw StackError(.malformed, "the metadata of the \(title) have no block \(number)")
    }
    let bytes = try layer.bytes(at: number * Self.blockSize, count: Int(Self.blockSize))
    let (stored, own, checksum) = bytes.withUnsafeBytes { bytes in
      (
        bytes.number(at: Field.checksum, as: UInt32.self) ?? 0,
        bytes.number(at: Field.block, as: UInt64.self) ?? 0,
        ~CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[Field.flags...])) ^ kind
      )
    }
    guard stored == checksum, own == number else {
      throw StackError(.malformed, "block \(number) of the metadata of the \(title) is damaged")
    }
    return bytes
  }
}
