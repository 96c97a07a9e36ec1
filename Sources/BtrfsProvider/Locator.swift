import FrozenImage
import SystemPackage

/// "Where does this portion lie now": the extents of a portion and of its
/// neighbours, from the subvolume's tree.
struct Locator {
  let subvolume: UInt64
  let descriptor: FileDescriptor
  /// The volume's chunks when some may keep parity: an extent in one that does is
  /// read through the production host.
  let chunks: ChunkTree?
  /// Bytes of a data block.
  let sectorSize: UInt32

  /// Extents around a portion that one answer tells, so that a scan asks rarely.
  static let neighbours = 512
  /// Items that are looked at for neighbours past the portion.
  private static let maximumItems = 2048
  /// Most extents that are told even when the portion itself has more.
  private static let maximumExtents = 65_536

  /// What one look found.
  struct Finding: Equatable {
    let located: MappingAnswer.Located
    /// The youngest transaction that wrote one of the leaves that were seen.
    let newestLeaf: UInt64
  }

  /// Finds a portion's extents; `nil` for an empty portion.
  func find(_ portion: Portion) throws(BtrfsError) -> Finding? {
    guard !portion.range.isEmpty, portion.inode >= InodeNumbers.root,
      portion.inode <= InodeNumbers.last
    else { return nil }
    var search = TreeSearch(of: descriptor, capacity: 32 << 10)
    let start = try covering(portion, &search)
    let from = FileKey(inode: portion.inode, offset: portion.range.lowerBound)
    var walk = Walk(from: from, to: portion.keys.upperBound, locator: self)
    do throws(BtrfsError) {
      try search.scan(subvolume, start...InodeNumbers.allKeys.upperBound) {
        item throws(BtrfsError) in
        try walk.take(item)
      }
    } catch {
      // What lies before a leaf that cannot be read is told all the same.
      guard error.isUnreadableBlock else { throw error }
      walk.isAtEnd = false
    }
    return walk.finish()
  }

  /// The key of the extent item that covers the portion's first byte, or a key
  /// before which no item does.
  ///
  /// The tree search cannot go backwards, so it starts ever further before the
  /// byte; the last item that begins at or before the byte is the only one that
  /// may cover it.
  private func covering(
    _ portion: Portion, _ search: inout TreeSearch
  ) throws(BtrfsError) -> TreeKey {
    let first = portion.range.lowerBound
    let exact = TreeKey(object: portion.inode, type: ItemType.fileExtent, offset: first)
    for distance in [1 << 20, 16 << 20, FileExtentItem.maximumLength] {
      var start = exact
      start.offset = first > distance ? first - distance : 0
      var candidate: TreeKey?
      do throws(BtrfsError) {
        try search.scan(subvolume, start...exact) { item throws(BtrfsError) in
          candidate = item.key
          return true
        }
      } catch {
        // If it is in there, the walk from before it ends there as well.
        guard error.isUnreadableBlock else { throw error }
      }
      if let candidate { return candidate }
      if start.offset == 0 { break }
    }
    return exact
  }
}

extension Locator {
  /// A walk over items in key order that collects extents until it has enough.
  private struct Walk {
    let from: FileKey
    let to: FileKey
    let locator: Locator
    private var seen: FileKey
    var isAtEnd = true
    private var extents: [MappingAnswer.Extent] = []
    private var items = 0
    private var newestLeaf: UInt64 = 0

    init(from: FileKey, to: FileKey, locator: Locator) {
      self.from = from
      self.to = to
      self.locator = locator
      seen = from
    }

    /// Takes an item; `false` when nothing more is wanted.
    mutating func take(_ item: TreeItem) throws(BtrfsError) -> Bool {
      items += 1
      newestLeaf = max(newestLeaf, item.leafTransaction)
      let inode = item.key.object
      if item.key.type < ItemType.fileExtent {
        seen = max(seen, FileKey(inode: inode, offset: 0))
      } else if item.key.type > ItemType.fileExtent {
        seen = max(seen, FileKey(inode: inode + 1, offset: 0))
      } else {
        // One of no known form was described as unreadable, and nobody asks for it; its
        // neighbours are told all the same.
        let length = min(FileExtentItem.length(of: item.payload) ?? 1, .max - item.key.offset)
        let extent = FileExtentItem(item.payload) ?? .encoded(length: length)
        try add(extent, inode: inode, offset: item.key.offset)
      }
      if extents.count >= Locator.maximumExtents { isAtEnd = false }
      if seen >= to, extents.count >= Locator.neighbours || items >= Locator.maximumItems {
        isAtEnd = false
      }
      return isAtEnd
    }

    private mutating func add(
      _ extent: FileExtentItem, inode: UInt64, offset: UInt64
    ) throws(BtrfsError) {
      let (end, overflow) = offset.addingReportingOverflow(extent.length)
      guard !overflow else {
        throw BtrfsError(.malformed, "an extent of inode \(inode) is malformed")
      }
      let next = FileKey(inode: inode, offset: end)
      // Before the portion, or of zero length.
      guard next > seen else { return }
      let start = max(FileKey(inode: inode, offset: offset), seen).offset
      seen = next
      guard let source = source(of: extent, inode: inode),
        let told = FileExtent(offset: offset, length: extent.length, source: source)
          .clipped(to: start..<end)
      else { return }
      extents.append(MappingAnswer.Extent(inode: inode, extent: told))
    }

    /// Where an extent's bytes come from; `nil` for a hole.
    ///
    /// What was inline when it was described is in the representation and never
    /// asked for; what became inline later (dedupe) is read through the
    /// production host.
    private func source(of extent: FileExtentItem, inode: UInt64) -> FileExtent.Source? {
      switch extent {
      case .hole: return nil
      case .preallocated: return .unwritten
      case .inline, .encoded: return .encoded
      case .compressed(let length, let item):
        guard let run = item.run(holding: length, sectorSize: locator.sectorSize),
          !hasParity(run.address.offset, UInt64(run.storedLength))
        else { return .encoded }
        return .compressed(run)
      case .regular(let address, let length):
        guard !hasParity(address, length) else { return .encoded }
        return .stored(StoreAddress(store: ChunkTree.addressSpace, offset: address))
      }
    }

    private func hasParity(_ address: UInt64, _ length: UInt64) -> Bool {
      locator.chunks?.chunk(holding: address, length: length)?.parityProfile != nil
    }

    func finish() -> Finding? {
      let end = isAtEnd ? FileKey.last : seen
      guard from < end else { return nil }
      return Finding(
        located: MappingAnswer.Located(keys: from..<end, extents: extents),
        newestLeaf: newestLeaf)
    }
  }
}
