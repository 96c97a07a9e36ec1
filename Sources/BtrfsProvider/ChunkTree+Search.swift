import CBtrfs
import FrozenImage
import SystemPackage

/// The chunks that hold trees, one at a time: there may be many of data beside them.
extension ChunkTree {
  /// The chunk that holds an address, whatever is kept in it; `nil` when there is none.
  static func chunk(
    of descriptor: FileDescriptor, holding address: UInt64
  ) throws(BtrfsError) -> Chunk? {
    var search = TreeSearch(of: descriptor, capacity: 64 << 10)
    // Their object ID is BTRFS_FIRST_CHUNK_TREE_OBJECTID, 256. The search cannot go
    // backwards, so it begins ever further before the address; most chunks have 1 GiB at
    // most for each device.
    for distance: UInt64 in [1 << 30, 16 << 30, .max] {
      let start = address > distance ? address - distance : 0
      let keys =
        TreeKey(
          object: 256, type: ItemType.chunk, offset: start)...TreeKey(
          object: 256, type: ItemType.chunk, offset: address)
      var found: Chunk?
      try search.scan(TreeID.chunk, keys) { item throws(BtrfsError) in
        found = try Chunk(item)
        return true
      }
      if let found { return found.end > address ? found : nil }
      if start == 0 { break }
    }
    return nil
  }
}
