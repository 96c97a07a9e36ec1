import CBtrfs
import FrozenImage
import SystemPackage

/// The chunk tree: how the volume's logical addresses lie on its devices.
struct ChunkTree: Hashable {
  /// `struct btrfs_dev_item`.
  struct Device: Hashable {
    let number: UInt64
    let uuid: UniqueIdentifier
    /// Bytes that the volume uses of it.
    let size: UInt64
    /// The volume that the device belongs to: a seed's, where this one was grown from it.
    let owner: UniqueIdentifier
  }

  struct Stripe: Hashable {
    let device: UInt64
    /// Bytes from the start of the device.
    let offset: UInt64
  }

  /// `struct btrfs_chunk`.
  struct Chunk: Hashable {
    let start: UInt64
    let length: UInt64
    /// `BTRFS_BLOCK_GROUP_…`.
    let type: UInt64
    let stripeLength: UInt64
    let subStripes: Int
    let stripes: [Stripe]

    var end: UInt64 { start + length }
    var holdsData: Bool { type & 1 != 0 }
  }

  /// In ascending order of number.
  private(set) var devices: [Device] = []
  /// The chunks that hold file data, in ascending order.
  private(set) var chunks: [Chunk] = []
  /// The youngest transaction that wrote a leaf of the tree.
  private(set) var newestLeaf: UInt64 = 0

  init() {}

  /// Reads the whole tree.
  init(of descriptor: FileDescriptor) throws(BtrfsError) {
    var search = TreeSearch(of: descriptor, capacity: 256 << 10)
    let all =
      TreeKey(object: 0, type: 0, offset: 0)...TreeKey(object: .max, type: .max, offset: .max)
    var tree = ChunkTree()
    try search.scan(TreeID.chunk, all) { item throws(BtrfsError) in
      try tree.take(item)
      return true
    }
    self = tree
  }

  /// Takes the tree's next item, in key order.
  mutating func take(_ item: TreeItem) throws(BtrfsError) {
    newestLeaf = max(newestLeaf, item.leafTransaction)
    if item.key.type == ItemType.device {
      devices.append(try Device(item))
    } else if item.key.type == ItemType.chunk {
      let chunk = try Chunk(item)
      if let last = chunks.last, last.end > chunk.start {
        throw BtrfsError(.malformed, "two chunks of the volume overlap at \(chunk.start)")
      }
      if chunk.holdsData { chunks.append(chunk) }
    }
  }

  /// Only the devices.
  static func devices(of descriptor: FileDescriptor) throws(BtrfsError) -> [Device] {
    var search = TreeSearch(of: descriptor, capacity: 64 << 10)
    var devices: [Device] = []
    // Their object ID is BTRFS_DEV_ITEMS_OBJECTID, 1.
    let keys =
      TreeKey(
        object: 1, type: ItemType.device, offset: 0)...TreeKey(
        object: 1, type: ItemType.device, offset: .max)
    try search.scan(TreeID.chunk, keys) { item throws(BtrfsError) in
      devices.append(try Device(item))
      return true
    }
    return devices
  }

  /// The chunk that holds a whole run of addresses.
  func chunk(holding address: UInt64, length: UInt64) -> Chunk? {
    let found = chunks.partitioningIndex { $0.end > address }
    guard found < chunks.count, chunks[found].start <= address,
      chunks[found].end - address >= length
    else { return nil }
    return chunks[found]
  }

  /// Adds the chunks and devices that only `older` has. Where the two differ about
  /// an address, this tree's own chunk stays.
  mutating func add(_ older: ChunkTree) {
    let present = Set(chunks)
    for chunk in older.chunks
    where !present.contains(chunk) && !chunks.contains(where: { $0.overlaps(chunk) }) {
      let place = chunks.firstIndex { $0.start > chunk.start } ?? chunks.count
      chunks.insert(chunk, at: place)
    }
    for device in older.devices {
      guard let index = devices.firstIndex(where: { $0.number == device.number }) else {
        devices.append(device)
        continue
      }
      // A device that was shrunk still holds what the older chunks say.
      if devices[index].uuid == device.uuid, devices[index].size < device.size {
        devices[index] = device
      }
    }
    devices.sort { $0.number < $1.number }
  }
}

extension ChunkTree.Chunk {
  func overlaps(_ other: Self) -> Bool { start < other.end && other.start < end }

  /// The profile's name when it keeps parity, which is not resolved here.
  var parityProfile: String? {
    if type & 1 << 7 != 0 { return "RAID5" }
    return type & 1 << 8 != 0 ? "RAID6" : nil
  }
}

extension ChunkTree.Device {
  fileprivate init(_ item: TreeItem) throws(BtrfsError) {
    guard let number: UInt64 = item.payload.number(at: Int(CBTRFS_DEVICE_DEVID)),
      let size: UInt64 = item.payload.number(at: Int(CBTRFS_DEVICE_TOTAL_BYTES)),
      let uuid = item.payload.run(at: Int(CBTRFS_DEVICE_UUID), count: 16)
        .flatMap({ UniqueIdentifier(bytes: $0) }),
      let owner = item.payload.run(at: Int(CBTRFS_DEVICE_FSID), count: 16)
        .flatMap({ UniqueIdentifier(bytes: $0) }), number == item.key.offset
    else {
      throw BtrfsError(.malformed, "the item of the volume's device \(item.key.offset) is torn")
    }
    self.init(number: number, uuid: uuid, size: size, owner: owner)
  }
}

extension ChunkTree.Chunk {
  init(_ item: TreeItem) throws(BtrfsError) {
    let payload = item.payload
    guard let length: UInt64 = payload.number(at: Int(CBTRFS_CHUNK_LENGTH)), length > 0,
      !item.key.offset.addingReportingOverflow(length).overflow,
      let stripeLength: UInt64 = payload.number(at: Int(CBTRFS_CHUNK_STRIPE_LENGTH)),
      let type: UInt64 = payload.number(at: Int(CBTRFS_CHUNK_TYPE)),
      let count: UInt16 = payload.number(at: Int(CBTRFS_CHUNK_NUM_STRIPES)), count > 0,
      let subStripes: UInt16 = payload.number(at: Int(CBTRFS_CHUNK_SUB_STRIPES))
    else { throw BtrfsError(.malformed, "the chunk at \(item.key.offset) is torn") }
    var stripes: [ChunkTree.Stripe] = []
    for index in 0..<Int(count) {
      let start = Int(CBTRFS_CHUNK_STRIPES) + index * Int(CBTRFS_STRIPE_SIZE)
      guard let device: UInt64 = payload.number(at: start + Int(CBTRFS_STRIPE_DEVID)),
        let offset: UInt64 = payload.number(at: start + Int(CBTRFS_STRIPE_OFFSET))
      else { throw BtrfsError(.malformed, "the chunk at \(item.key.offset) is torn") }
      stripes.append(ChunkTree.Stripe(device: device, offset: offset))
    }
    self.init(
      start: item.key.offset, length: length, type: type, stripeLength: stripeLength,
      subStripes: Int(subStripes), stripes: stripes)
  }
}
