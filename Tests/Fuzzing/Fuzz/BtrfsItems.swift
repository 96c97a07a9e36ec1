import CBtrfs
import FrozenImage

@testable import BtrfsProvider
@testable import DataSets

/// An input is a count and the items of a tree search's answer.
func fuzzBtrfs(_ input: [UInt8]) {
  guard let count = input.first else { return }
  var answer = [UInt8](repeating: 0, count: Int(CBTRFS_SEARCH_BUFFER)) + input.dropFirst()
  answer.put(UInt32(count), at: Int(CBTRFS_SEARCH_COUNT))
  answer.withUnsafeBytes { answer in
    guard let items = try? TreeSearch.items(of: answer) else { return }
    var chunks = ChunkTree()
    for item in items {
      use(item)
      _ = try? chunks.take(item)
    }
    use(chunks)
    answer.withMemoryRebound(to: UInt8.self) { bytes in
      _ = Superblock(UnsafeRawBufferPointer(bytes))
    }
  }
}

private func use(_ item: TreeItem) {
  let payload = item.payload
  _ = InodeItem(payload, inode: item.key.object, sectorSize: 4096)
  for entry in DirectoryItem.all(in: payload).items {
    require(entry.name.count + entry.data.count <= payload.count, "an entry lies in its item")
  }
  guard let extent = FileExtentItem(payload) else { return }
  switch extent {
  case .compressed(let length, let compressed):
    if let run = compressed.run(holding: length, sectorSize: 4096) {
      require(run.holds(length), "a run holds its extent")
    }
  case .regular(let address, let length):
    require(address <= .max - length, "an extent ends inside 64 bits")
  case .inline, .hole, .preallocated, .encoded: break
  }
}

private func use(_ tree: ChunkTree) {
  var both = tree
  both.add(tree)
  require(both.chunks == tree.chunks, "a tree adds no chunk to itself")
  guard let map = try? tree.storeMap() else { return }
  for chunk in tree.chunks.prefix(16) {
    let first = StoreAddress(store: ChunkTree.addressSpace, offset: chunk.start)
    _ = try? map.resolve(first, length: min(chunk.length, 8192))
    _ = tree.chunk(holding: chunk.start, length: chunk.length)
  }
}
