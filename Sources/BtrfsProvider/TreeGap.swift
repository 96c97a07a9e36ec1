import FrozenImage

/// A run of keys of a subvolume's tree whose items cannot be read: a leaf, or several that
/// follow each other, is lost on every device that has a copy.
struct TreeGap: Hashable, CustomStringConvertible {
  let start: TreeKey
  /// The first key behind it; `nil` when nothing behind it can be read.
  let end: TreeKey?

  /// The last key of it.
  var last: TreeKey { end?.previous ?? InodeNumbers.allKeys.upperBound }

  /// Whether an item with this key would lie in it.
  func holds(_ key: TreeKey) -> Bool { key >= start && key <= last }

  /// The run of an inode's keys of one type that is lost, by offset; `nil` when none is.
  func offsets(ofInode inode: UInt64, type: UInt8) -> ClosedRange<UInt64>? {
    let first = max(start, TreeKey(object: inode, type: type, offset: 0))
    let last = min(last, TreeKey(object: inode, type: type, offset: .max))
    return first <= last ? first.offset...last.offset : nil
  }

  var description: String {
    "keys \(start) to \(end.map(\.description) ?? "the end")"
  }
}

extension TreeKey: CustomStringConvertible {
  /// As `btrfs inspect-internal dump-tree` writes it, with the type as a number.
  var description: String { "(\(object) \(type) \(offset))" }

  /// The key before this one; `nil` for the first of all.
  var previous: TreeKey? {
    if offset > 0 { return TreeKey(object: object, type: type, offset: offset - 1) }
    if type > 0 { return TreeKey(object: object, type: type - 1, offset: .max) }
    return object > 0 ? TreeKey(object: object - 1, type: .max, offset: .max) : nil
  }
}

/// Finds where in a subvolume's tree leaves cannot be read.
///
/// The kernel only says that a search failed. Which keys lie in the leaf stands in the block
/// above it, which is read from the media; that the leaf behind the gap can be read, the
/// kernel says again.
struct GapFinder {
  private let subvolume: OpenSubvolume
  private let id: UInt64
  private let blocks: MediaBlocks
  private let root: TreeBlock.Pointer

  /// Leaves that are looked at, at most, until one can be read.
  private static let maximumLeaves = 1_000_000

  init(in subvolume: OpenSubvolume, id: UInt64) throws(BtrfsError) {
    self.subvolume = subvolume
    self.id = id
    blocks = try MediaBlocks(subvolume, VolumeWatch(subvolume).look())
    root = try blocks.root(ofSubvolume: id)
  }

  /// The gap at which a search from a key fails.
  ///
  /// - Parameter failure: why that search failed.
  /// - Throws: `failure` when the blocks above the leaf cannot be read, or the leaf can.
  func gap(from key: TreeKey, failure: BtrfsError) throws(BtrfsError) -> TreeGap {
    guard var leaf = try? leaf(holding: key) else { throw failure }
    var start = max(key, leaf.first)
    if canRead(leaf.first) {
      // The key lies behind the last item of a leaf that can be read.
      guard let next = leaf.next, let following = try? self.leaf(holding: next) else {
        throw failure
      }
      start = next
      leaf = following
      if canRead(start) { throw failure }
    }
    for _ in 0..<Self.maximumLeaves {
      guard let next = leaf.next else { return TreeGap(start: start, end: nil) }
      if canRead(next) { return TreeGap(start: start, end: next) }
      guard let following = try? self.leaf(holding: next) else { throw failure }
      leaf = following
    }
    throw failure
  }

  /// Whether the kernel finds an item at a key, or behind it.
  private func canRead(_ key: TreeKey) -> Bool {
    var search = TreeSearch(of: subvolume.descriptor, capacity: 4096)
    let items = try? search.items(
      in: id, key...InodeNumbers.allKeys.upperBound, limit: 1)
    return items != nil
  }

  /// The keys of the leaf in which a key lies; of the block above it where that one cannot
  /// be read.
  private func leaf(
    holding key: TreeKey
  ) throws(BtrfsError) -> (first: TreeKey, next: TreeKey?) {
    var range: (first: TreeKey, next: TreeKey?) = (InodeNumbers.allKeys.lowerBound, nil)
    var pointer = root
    for _ in 0..<TreeBlock.maximumLevel {
      guard let block = try? blocks.copies(at: pointer).first?.block,
        let child = block.child(holding: key)
      else { return range }
      range = (child.first, child.next ?? range.next)
      pointer = child.pointer
      if block.level == 1 { return range }
    }
    throw BtrfsError(.malformed, "the tree of subvolume \(id) has too many levels")
  }
}
