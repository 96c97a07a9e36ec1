import CBtrfs
import FrozenImage
import SystemPackage

/// A key of a btrfs tree: items are ordered by object ID, type, offset.
struct TreeKey: Hashable, Comparable {
  var object: UInt64
  var type: UInt8
  var offset: UInt64

  static func < (left: Self, right: Self) -> Bool {
    (left.object, left.type, left.offset) < (right.object, right.type, right.offset)
  }

  /// The key that follows; `nil` for the last of all.
  var next: TreeKey? {
    if offset < .max { return TreeKey(object: object, type: type, offset: offset + 1) }
    if type < .max { return TreeKey(object: object, type: type + 1, offset: 0) }
    return object < .max ? TreeKey(object: object + 1, type: 0, offset: 0) : nil
  }
}

/// The trees that are searched, besides those of the subvolumes (linux/btrfs_tree.h).
enum TreeID {
  static let root: UInt64 = 1
  static let chunk: UInt64 = 3
  static let checksum: UInt64 = 7
}

/// An item of a tree. The payload is valid until the next search.
struct TreeItem {
  let key: TreeKey
  /// The transaction in which the leaf that holds the item was written.
  let leafTransaction: UInt64
  let payload: UnsafeRawBufferPointer
}

/// Searches trees of a mounted btrfs (`BTRFS_IOC_TREE_SEARCH_V2`). The kernel
/// searches its live trees: what it finds may not be committed yet.
struct TreeSearch: ~Copyable {
  private let descriptor: FileDescriptor
  private var buffer: UnsafeMutableRawBufferPointer

  /// - Parameter capacity: bytes of items that one search gives at most, unless a
  ///   single item is larger.
  init(of descriptor: FileDescriptor, capacity: Int) {
    self.descriptor = descriptor
    buffer = Self.allocate(capacity)
  }

  deinit { buffer.deallocate() }

  private static func allocate(_ capacity: Int) -> UnsafeMutableRawBufferPointer {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(CBTRFS_SEARCH_BUFFER) + capacity, alignment: 8)
    // The kernel writes only as far as it finds items.
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    return buffer
  }

  /// The first items with keys in the range that lie in leaves written in
  /// `since` or later, in key order, as many as fit. None: there is none.
  ///
  /// - Throws: `BtrfsError`, of which `isUnreadableBlock` says that the leaf with the first
  ///   of them cannot be read.
  mutating func items(
    in tree: UInt64, _ keys: ClosedRange<TreeKey>, since: UInt64 = 0, limit: UInt32 = .max
  ) throws(BtrfsError) -> [TreeItem] {
    var limit = limit
    while true {
      do throws(BtrfsError) {
        return try search(tree, keys, since: since, limit: limit)
      } catch {
        // The kernel forgets what it found before the leaf that it cannot read.
        guard error.isUnreadableBlock, limit > 1 else { throw error }
        limit = limit > 64 ? 64 : max(1, limit / 8)
      }
    }
  }

  private mutating func search(
    _ tree: UInt64, _ keys: ClosedRange<TreeKey>, since: UInt64, limit: UInt32
  ) throws(BtrfsError) -> [TreeItem] {
    while true {
      buffer.setNative(tree, at: Int(CBTRFS_SEARCH_TREE))
      buffer.setNative(keys.lowerBound.object, at: Int(CBTRFS_SEARCH_MIN_OBJECT))
      buffer.setNative(keys.upperBound.object, at: Int(CBTRFS_SEARCH_MAX_OBJECT))
      buffer.setNative(keys.lowerBound.offset, at: Int(CBTRFS_SEARCH_MIN_OFFSET))
      buffer.setNative(keys.upperBound.offset, at: Int(CBTRFS_SEARCH_MAX_OFFSET))
      buffer.setNative(since, at: Int(CBTRFS_SEARCH_MIN_TRANSID))
      buffer.setNative(UInt64.max, at: Int(CBTRFS_SEARCH_MAX_TRANSID))
      buffer.setNative(UInt32(keys.lowerBound.type), at: Int(CBTRFS_SEARCH_MIN_TYPE))
      buffer.setNative(UInt32(keys.upperBound.type), at: Int(CBTRFS_SEARCH_MAX_TYPE))
      buffer.setNative(limit, at: Int(CBTRFS_SEARCH_COUNT))
      let room = UInt64(buffer.count - Int(CBTRFS_SEARCH_BUFFER))
      buffer.setNative(room, at: Int(CBTRFS_SEARCH_BUFFER_SIZE))
      do {
        try descriptor.control(CBTRFS_TREE_SEARCH_V2, buffer)
      } catch .overflow {
        // The first item alone is larger than the buffer; the kernel says how large.
        try grow(toHold: UnsafeRawBufferPointer(buffer).number(at: Int(CBTRFS_SEARCH_BUFFER_SIZE)))
        continue
      } catch {
        throw BtrfsError(cannot: "search btrfs tree \(tree)", error)
      }
      return try Self.items(of: UnsafeRawBufferPointer(buffer))
    }
  }

  private mutating func grow(toHold needed: UInt64?) throws(BtrfsError) {
    let room = buffer.count - Int(CBTRFS_SEARCH_BUFFER)
    // No item is larger than a tree node, at most 64 KiB.
    guard let needed = needed.flatMap(Int.init(exactly:)), needed > room, needed <= 1 << 20 else {
      throw BtrfsError(.malformed, "btrfs gave a tree item of impossible size")
    }
    buffer.deallocate()
    buffer = Self.allocate(needed)
  }

  /// The items of a search's answer (`struct btrfs_ioctl_search_args_v2`).
  static func items(of answer: UnsafeRawBufferPointer) throws(BtrfsError) -> [TreeItem] {
    let count: UInt32 = answer.number(at: Int(CBTRFS_SEARCH_COUNT)) ?? 0
    var items: [TreeItem] = []
    var position = Int(CBTRFS_SEARCH_BUFFER)
    for _ in 0..<count {
      guard let transaction: UInt64 = answer.number(at: position + Int(CBTRFS_HEADER_TRANSID)),
        let object: UInt64 = answer.number(at: position + Int(CBTRFS_HEADER_OBJECT)),
        let offset: UInt64 = answer.number(at: position + Int(CBTRFS_HEADER_OFFSET)),
        let type: UInt32 = answer.number(at: position + Int(CBTRFS_HEADER_TYPE)),
        let length: UInt32 = answer.number(at: position + Int(CBTRFS_HEADER_LENGTH)),
        let payload = answer.run(at: position + Int(CBTRFS_HEADER_SIZE), count: Int(length))
      else { throw BtrfsError(.malformed, "btrfs gave a torn answer to a tree search") }
      let key = TreeKey(object: object, type: UInt8(truncatingIfNeeded: type), offset: offset)
      if let last = items.last, last.key >= key {
        throw BtrfsError(.malformed, "btrfs gave tree items out of order")
      }
      items.append(TreeItem(key: key, leafTransaction: transaction, payload: payload))
      position += Int(CBTRFS_HEADER_SIZE) + Int(length)
    }
    return items
  }

  /// Calls `body` with every item in the range, in key order, until it returns false.
  mutating func scan(
    _ tree: UInt64, _ keys: ClosedRange<TreeKey>, since: UInt64 = 0,
    _ body: (TreeItem) throws(BtrfsError) -> Bool
  ) throws(BtrfsError) {
    var start = keys.lowerBound
    while true {
      let items = try items(in: tree, start...keys.upperBound, since: since)
      for item in items where try !body(item) { return }
      guard let next = items.last?.key.next, next <= keys.upperBound else { return }
      start = next
    }
  }
}
