import FrozenImage

/// The volume's stores: 0 is btrfs' logical address space; device N is store N.
extension ChunkTree {
  static let addressSpace = StoreID(rawValue: 0)

  /// The map from logical addresses to devices. Chunks with parity are left out:
  /// what lies in them is read through the production host.
  func storeMap() throws(BtrfsError) -> StoreMap {
    try Self.map(of: chunks.filter { $0.parityProfile == nil }, devices)
  }

  /// The map of one chunk.
  static func map(of chunk: Chunk, _ devices: [Device]) throws(BtrfsError) -> StoreMap {
    try map(of: [chunk], devices)
  }

  private static func map(
    of chunks: [Chunk], _ devices: [Device]
  ) throws(BtrfsError) -> StoreMap {
    var stores: [StoreID: Store] = [Self.addressSpace: .logical(label: "btrfs")]
    for device in devices {
      guard let number = UInt32(exactly: device.number), number > 0 else {
        throw BtrfsError(.malformed, "device number \(device.number) is out of range")
      }
      stores[StoreID(rawValue: number)] = .physical(MediumID(rawValue: device.uuid))
    }
    do {
      var extents: [StoreExtent] = []
      for chunk in chunks { extents.append(try chunk.storeExtent()) }
      return try StoreMap(stores: stores, extents: [Self.addressSpace: extents])
    } catch let error as ChainError {
      throw BtrfsError("the volume's chunks cannot be mapped", cause: error)
    } catch {
      throw BtrfsError(error)
    }
  }
}

extension ChunkTree.Chunk {
  /// Profile bits (`BTRFS_BLOCK_GROUP_…`, linux/btrfs_tree.h).
  private enum Profile {
    static let raid0: UInt64 = 1 << 3
    static let mirrored: UInt64 = 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10  // RAID1, DUP, RAID1C3, C4
    static let raid10: UInt64 = 1 << 6
    static let all: UInt64 = 0xFF << 3
  }

  /// The chunk as a store extent. The order of a chunk's stripes is the order of
  /// a placement's targets: the copies of a column follow each other
  /// (`btrfs_map_block`, fs/btrfs/volumes.c).
  fileprivate func storeExtent() throws -> StoreExtent {
    let columns: Int
    let copies: Int
    switch type & Profile.all {
    case 0 where stripes.count == 1: (columns, copies) = (1, 1)
    case Profile.raid0: (columns, copies) = (stripes.count, 1)
    case Profile.raid10 where subStripes > 0 && stripes.count % subStripes == 0:
      (columns, copies) = (stripes.count / subStripes, subStripes)
    case let profile where profile & Profile.mirrored == profile && profile.nonzeroBitCount == 1:
      (columns, copies) = (1, stripes.count)
    default:
      throw BtrfsError(
        .unsupported,
        "the chunk at \(start) has an unknown profile (type \(String(type, radix: 16)))")
    }
    var targets: [StoreAddress] = []
    for stripe in stripes {
      guard let number = UInt32(exactly: stripe.device), number > 0 else {
        throw BtrfsError(.malformed, "the chunk at \(start) lies on device \(stripe.device)")
      }
      targets.append(StoreAddress(store: StoreID(rawValue: number), offset: stripe.offset))
    }
    return try StoreExtent(
      offset: start, length: length, columns: columns, copies: copies,
      stripeLength: stripeLength, targets: targets)
  }
}
