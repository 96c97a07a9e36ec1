import CBtrfs
import FrozenImage
import SystemPackage

// Why the generation of a leaf alone does not tell what moved
// ===========================================================
// A tree search with `min_transid` finds the leaves that were written since a
// transaction. Relocation (balance, device remove) breaks the rule that whatever
// changed in a subvolume's tree lies in a leaf written when it changed: it makes a
// *reloc tree*, a private copy of the subvolume's tree, rewrites the pointers to
// moved data there, and commits; later, `merge_reloc_roots` swaps the rewritten
// blocks into the subvolume's tree (`replace_path`, fs/btrfs/relocation.c). A leaf
// written in transaction 100 can so enter the subvolume's tree in transaction 105
// and still say 100. Someone who knows state 102 and asks for leaves newer than
// 102 would never hear of it.
//
// So a state of the mapping carries a *floor*: every leaf that enters the tree
// after the state was noted says more than the floor. It is found in this order:
//   1. read the generation G that is committed on the media;
//   2. look in the root tree for the subvolume's reloc tree;
//   3. search the subvolume's tree.
// Without a reloc tree at step 2 the floor is G: a reloc tree that is made later is
// made in a transaction after G, and all its rewritten blocks with it. With one,
// the floor is that tree's `last_snapshot`: the merge takes only blocks that say
// more (`walk_down_reloc_tree`). A reloc tree that was merged before step 2 was
// swapped in before step 3, which therefore saw its leaves. A snapshot that is
// taken while its source has a reloc tree gets one of its own, with the
// `last_snapshot` of the first (`btrfs_reloc_post_snapshot`).

/// A note of the provider about a state of a subvolume's mapping: what it needs to
/// say later what changed since. Travels as `MappingState.cursor`.
struct MappingCursor: Hashable {
  /// The transaction that was committed on the media when the state was noted.
  let generation: UInt64
  /// Every leaf that enters the subvolume's tree later was written after this one.
  let floor: UInt64
  /// The subvolume's `ctransid`.
  let changeTransaction: UInt64
  /// The file system's stay in a kernel in which the state was noted; `nil` when it is not
  /// known. Of a state of another one, nothing can be said but that everything may differ.
  let incarnation: Incarnation?

  /// The first had no incarnation.
  private static let versions: [UInt8: Int] = [1: 25, 2: 25 + Incarnation.length]

  init(
    generation: UInt64, floor: UInt64, changeTransaction: UInt64, incarnation: Incarnation?
  ) {
    self.generation = generation
    self.floor = floor
    self.changeTransaction = changeTransaction
    self.incarnation = incarnation
  }

  /// The serialised form: a version byte, three 64-bit little-endian numbers, the
  /// incarnation.
  var bytes: [UInt8] {
    [incarnation == nil ? 1 : 2]
      + [generation, floor, changeTransaction].flatMap { number in
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
      } + (incarnation?.bytes ?? [])
  }

  /// Reads the serialised form; `nil` when it is of no known version.
  init?(bytes: [UInt8]) {
    guard let version = bytes.first, bytes.count == Self.versions[version] else { return nil }
    let numbers: [UInt64]? = bytes.withUnsafeBytes { bytes in
      let numbers = [1, 9, 17].compactMap { bytes.number(at: $0, as: UInt64.self) }
      return numbers.count == 3 ? numbers : nil
    }
    guard let numbers else { return nil }
    let rest = Array(bytes.dropFirst(25))
    self.init(
      generation: numbers[0], floor: numbers[1], changeTransaction: numbers[2],
      incarnation: rest.isEmpty ? nil : Incarnation(bytes: rest))
  }
}

/// Whether a subvolume's tree is being rewritten by relocation.
enum Relocation {
  /// The `last_snapshot` of the subvolume's reloc tree; `nil` when it has none.
  static func floor(
    ofSubvolume subvolume: UInt64, _ descriptor: FileDescriptor
  ) throws(BtrfsError) -> UInt64? {
    // BTRFS_TREE_RELOC_OBJECTID, linux/btrfs_tree.h.
    let key = TreeKey(object: UInt64(bitPattern: -8), type: ItemType.root, offset: subvolume)
    var search = TreeSearch(of: descriptor, capacity: 4096)
    guard let item = try search.items(in: TreeID.root, key...key).first else { return nil }
    // An item that is too short names no floor: then any leaf may be news.
    return item.payload.number(at: Int(CBTRFS_ROOT_LAST_SNAPSHOT)) ?? 0
  }
}
