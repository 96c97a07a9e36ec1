import CBtrfs
import FrozenImage
import ImageReader
import Media
import SystemPackage

/// Reads tree blocks of one committed state past every cache, from the devices that are in
/// step. While the superblock names that state, its blocks stay as they are.
struct MediaBlocks {
  /// A copy of a block, and where it was found.
  struct Copy {
    let place: MediumAddress
    let block: TreeBlock
  }

  let superblock: Superblock
  private let witnessed: MediumID
  private let descriptor: FileDescriptor
  private let nodeSize: Int
  private let checksum: ChecksumAlgorithm
  private let devices: [ChunkTree.Device]
  private var media: [MediumID: OpenMedium] = [:]

  init(_ subvolume: OpenSubvolume, _ view: VolumeView) throws(BtrfsError) {
    descriptor = subvolume.descriptor
    nodeSize = Int(subvolume.fileSystem.nodeSize)
    checksum = subvolume.fileSystem.checksum
    devices = view.devices.map(\.item)
    var newest: VolumeDevice?
    for device in view.devices where view.isInStep(device) {
      media[device.medium] = try? OpenMedium(path: device.path)
      newest = newest ?? (media[device.medium] == nil ? nil : device)
    }
    guard let newest, let superblock = newest.superblock else {
      throw BtrfsError(.medium, "no device of the btrfs at \(subvolume.path) shows its superblock")
    }
    self.superblock = superblock
    witnessed = newest.medium
  }

  /// Whether the media still show the state.
  var isCurrent: Bool {
    let bytes = try? bytes(of: witnessed, at: Superblock.offset, count: Superblock.length)
    return bytes?.withUnsafeBytes { Superblock($0) }?.witness == superblock.witness
  }

  /// The copies of a block that are good; at least one.
  func copies(at pointer: TreeBlock.Pointer) throws(BtrfsError) -> [Copy] {
    var copies: [Copy] = []
    for place in try places(of: pointer.address) {
      guard let bytes = try? bytes(of: place.medium, at: place.offset, count: nodeSize),
        TreeBlock.isIntact(bytes, checksum), let block = TreeBlock(bytes, at: pointer)
      else { continue }
      copies.append(Copy(place: place, block: block))
    }
    guard !copies.isEmpty else {
      throw BtrfsError(
        .medium, "the tree block at \(pointer.address) cannot be read from the media")
    }
    return copies
  }

  /// Finds the root of a subvolume's tree.
  ///
  /// - Parameter visit: called with the blocks of the root tree on the way.
  func root(
    ofSubvolume id: UInt64, visit: ([Copy]) -> Void = { _ in }
  ) throws(BtrfsError) -> TreeBlock.Pointer {
    let key = try rootKey(ofSubvolume: id)
    var pointer = TreeBlock.Pointer(
      address: superblock.root, generation: superblock.generation)
    for _ in 0..<TreeBlock.maximumLevel {
      let copies = try copies(at: pointer)
      visit(copies)
      guard let block = copies.first?.block else { break }
      if let child = block.child(holding: key)?.pointer {
        pointer = child
      } else if let item = block.payload(of: key), let root = Self.root(inItem: item) {
        return root
      } else {
        break
      }
    }
    throw BtrfsError(.medium, "the root tree on the media does not name subvolume \(id)")
  }

  /// The key of a subvolume's root item: its offset is the transaction that made a snapshot.
  private func rootKey(ofSubvolume id: UInt64) throws(BtrfsError) -> TreeKey {
    var search = TreeSearch(of: descriptor, capacity: 4096)
    let first = TreeKey(object: id, type: ItemType.root, offset: 0)
    let last = TreeKey(object: id, type: ItemType.root, offset: .max)
    guard let key = try search.items(in: TreeID.root, first...last).first?.key else {
      throw BtrfsError(.malformed, "the root tree does not name subvolume \(id)")
    }
    return key
  }

  private static func root(inItem item: [UInt8]) -> TreeBlock.Pointer? {
    item.withUnsafeBytes { item in
      guard let address: UInt64 = item.number(at: Int(CBTRFS_ROOT_ADDRESS)),
        let generation: UInt64 = item.number(at: Int(CBTRFS_ROOT_GENERATION))
      else { return nil }
      return TreeBlock.Pointer(address: address, generation: generation)
    }
  }

  private func places(of address: UInt64) throws(BtrfsError) -> [MediumAddress] {
    guard let chunk = try ChunkTree.chunk(of: descriptor, holding: address),
      let map = try? ChunkTree.map(of: chunk, devices),
      let runs = try? map.resolve(
        StoreAddress(store: ChunkTree.addressSpace, offset: address), length: UInt64(nodeSize)),
      runs.count == 1, let run = runs.first
    else { throw BtrfsError(.malformed, "no chunk holds the tree block at \(address)") }
    return run.copies
  }

  private func bytes(
    of medium: MediumID, at offset: UInt64, count: Int
  ) throws(MediumError) -> [UInt8] {
    guard let medium = media[medium] else {
      throw MediumError(path: "\(medium)", offset: offset, reason: "it is not in step")
    }
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer { room.deallocate() }
    try medium.read(into: room, at: offset)
    return Array(room)
  }
}

extension VolumeView {
  /// Whether a device of the volume's own shows the newest superblock.
  fileprivate func isInStep(_ device: VolumeDevice) -> Bool {
    !device.isSeed && configurationID[device.medium] != nil
  }
}
