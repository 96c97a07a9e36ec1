import FrozenImage
import Testing

/// An image on one volume: a logical store 0 over two media of `mediumSize` bytes,
/// mirrored in its first half and striped in its second.
enum Sample {
  static let mediumSize: UInt64 = 1 << 20
  static let block: UInt64 = 4096
  /// Bytes of store 0.
  static let storeSize: UInt64 = mediumSize + mediumSize / 2

  static func image(name: String = "sample") -> ImageDescription {
    ImageDescription(
      id: UniqueIdentifier(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF), name: name,
      created: Timestamp(seconds: 1_700_000_000, nanoseconds: 5), provider: "btrfs",
      host: "production", source: "/srv/data",
      statistics: FileSystemStatistics(
        blockSize: 4096, blocks: 1000, freeBlocks: 500, availableBlocks: 400, files: 0,
        freeFiles: 0, maximumNameLength: 255))
  }

  static func medium(_ number: UInt64) throws -> MediumDescription {
    let id = MediumID(rawValue: UniqueIdentifier(high: 7, low: number))
    let identity = try #require(
      Probe(
        offset: 65536, length: 4096,
        fragments: [.init(offset: 32, length: 16), .init(offset: 64, length: 8)]))
    return MediumDescription(
      id: id, label: "devid \(number)", size: mediumSize, path: "/dev/sd\(number)",
      hardwareID: "wwn-\(number)", identity: identity,
      identityBytes: Array(repeating: UInt8(number), count: 24),
      witness: Probe(offset: 65536, length: 4096, fragments: [.init(offset: 72, length: 8)]))
  }

  static func volume() throws -> VolumeDescription {
    let media = [try medium(1), try medium(2)]
    let top = StoreID(rawValue: 0)
    let below = [StoreID(rawValue: 1), StoreID(rawValue: 2)]
    let half = mediumSize / 2
    let mirrored = try StoreExtent(
      offset: 0, length: half, columns: 1, copies: 2, stripeLength: 65536,
      targets: below.map { StoreAddress(store: $0, offset: 0) })
    let striped = try StoreExtent(
      offset: half, length: mediumSize, columns: 2, copies: 1, stripeLength: 65536,
      targets: below.map { StoreAddress(store: $0, offset: half) })
    let map = try StoreMap(
      stores: [
        top: .logical(label: "btrfs"), below[0]: .physical(media[0].id),
        below[1]: .physical(media[1].id),
      ],
      extents: [top: [mirrored, striped]])
    let id = ConfigurationID(
      entries: media.map { ConfigurationID.Entry(medium: $0.id, bytes: [1, 2, 3, 4, 5, 6, 7, 8]) })
    return VolumeDescription(
      id: UniqueIdentifier(high: 9, low: 9), label: "pool",
      state: MappingState(configurationID: id, cursor: [42, 0, 255]), map: map, media: media,
      checksum: .crc32c, checksumBlockSize: UInt32(block))
  }

  static func attributes(
    _ type: FileType, inode: UInt64, size: UInt64 = 0, links: UInt32 = 1
  ) -> NodeAttributes {
    let time = Timestamp(seconds: 1_600_000_000, nanoseconds: 999_999_999)
    return NodeAttributes(
      inode: inode, generation: 3, mode: UInt32(type.rawValue) << 12 | 0o644, links: links,
      owner: 1000, group: 100, deviceMajor: 0, deviceMinor: 0, size: size, blocks: size / 512,
      accessed: time, modified: time, changed: time, created: nil, inodeFlags: 0)
  }
}
