import FrozenImage
import Synchronization

// What tells two histories of one file system apart
// =================================================
// A storage that is taken back goes on with another history, in which the same generations
// come again, with the roots at the same places. Below the roots they differ: the root item
// of the frozen snapshot has a random UUID, and the times of what was changed, in
// nanoseconds, and the checksum of the leaf that holds it covers both. So the marks of a
// state are the headers (checksum, address, generation) of
//   - the blocks on the way from the root of the root tree to that leaf,
//   - the root of the snapshot's own tree, which points to the leaves that map its files,
//   - the root of the chunk tree.
// Blocks are never written in place: while the superblock names this state, they stay.

/// Finds the marks of a volume's states on its media.
final class StateMarks: Sendable {
  private let subvolume: OpenSubvolume
  private let id: UInt64
  /// What was found last: a volume at rest is asked often under one state.
  private let last = Mutex<(state: ConfigurationID, marks: [StateMark])?>(nil)

  init(_ subvolume: OpenSubvolume, id: UInt64) {
    self.subvolume = subvolume
    self.id = id
  }

  /// The marks of what the media show; none when the volume moved on meanwhile, or its
  /// blocks cannot be read. A state without marks is told from others by its configuration
  /// ID alone.
  func marks(of view: VolumeView) -> [StateMark] {
    if let last = last.withLock({ $0 }), last.state == view.configurationID { return last.marks }
    guard let blocks = try? MediaBlocks(subvolume, view), let marks = try? marks(in: blocks),
      blocks.isCurrent
    else { return [] }
    last.withLock { $0 = (view.configurationID, marks) }
    return marks
  }

  private func marks(in blocks: MediaBlocks) throws(BtrfsError) -> [StateMark] {
    var marks: [StateMark] = []
    let root = try blocks.root(ofSubvolume: id) { marks += Self.marks(of: $0) }
    let chunks = TreeBlock.Pointer(
      address: blocks.superblock.chunkRoot, generation: blocks.superblock.chunkRootGeneration)
    for pointer in [root, chunks] {
      // They may lie on a seed only, which nobody writes.
      marks += (try? blocks.copies(at: pointer)).map(Self.marks) ?? []
    }
    return marks
  }

  /// A copy that is damaged, or on a device that fell behind, marks nothing.
  private static func marks(of copies: [MediaBlocks.Copy]) -> [StateMark] {
    copies.compactMap {
      StateMark(medium: $0.place.medium, offset: $0.place.offset, bytes: $0.block.header)
    }
  }
}
