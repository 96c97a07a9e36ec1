import FrozenImage
import ImageReader
import LogicalRepresentation
import Synchronization
import SystemPackage

// Still frozen
// ============
// A read-only snapshot may change in two ways. Someone may take its read-only flag
// away and write; or dedupe may replace extents by equal ones, which btrfs allows on
// a read-only subvolume (`btrfs_remap_file_range_prep`, fs/btrfs/reflink.c). Both
// move the subvolume's `ctransid`, because both update inodes
// (`btrfs_update_inode` → `btrfs_update_root_times`); relocation does not.
//
// What tells them apart are the time stamps: a write sets `mtime` and `ctime` before
// it touches data (`file_update_time`; whatever changes metadata sets `ctime`),
// dedupe leaves both (`clone_finish_inode_update` with `no_time_update`). So when
// `ctransid` moved, the inodes in all leaves that were written since are compared
// with the representation. The inode that a write touched is among them: its leaf
// was written in the write's transaction or later, also when relocation copied it.
// An equal `ctime` after a write would need a clock that was set back to the same
// nanosecond. Inode items are updated late (delayed inodes), so a commit comes first.
//
// Buffered writes move `ctransid` only when they reach the media. Until then the
// trees, and the media, are as frozen; whoever reads through the page cache compares
// the times of the file itself (`OpenFiles.read`).

/// Proves that an image's snapshot is still what was frozen.
final class FrozenProof: Sendable {
  private let subvolume: OpenSubvolume
  private let frozen: BtrfsImage
  private let openRepresentation: @Sendable () throws -> Representation
  private let state: Mutex<State>

  private struct State {
    /// Every change up to this `ctransid` was found to be harmless.
    var proven: UInt64
    /// Why the image is not frozen any more; it never becomes so again.
    var thawed: String?
    var representation: Representation?
  }

  init(
    _ subvolume: OpenSubvolume, _ frozen: BtrfsImage,
    _ representation: @escaping @Sendable () throws -> Representation
  ) {
    self.subvolume = subvolume
    self.frozen = frozen
    openRepresentation = representation
    state = Mutex(State(proven: frozen.frozenTransaction))
  }

  /// Proves that every byte that was read or found before the call is the image's.
  ///
  /// - Returns: the subvolume's `ctransid`.
  /// - Throws: `SourceError.thawed` when the image is not what was frozen.
  func check() throws(SourceError) -> UInt64 {
    // Whoever dedupes may be at it just now.
    for _ in 0..<8 {
      let (proven, thawed) = state.withLock { ($0.proven, $0.thawed) }
      if let thawed { throw .thawed(thawed) }
      let transaction = try changeTransaction()
      if transaction == proven { return transaction }
      try compare(since: min(proven, transaction))
      if try changeTransaction() == transaction {
        state.withLock { $0.proven = transaction }
        return transaction
      }
    }
    throw .unreachable("the snapshot \(subvolume.path) keeps being changed")
  }

  /// Proves that bytes which were read through the page cache are the image's.
  ///
  /// - Parameter times: what the file had after the read.
  /// - Throws: `SourceError.thawed` when they may be others.
  func check(_ times: FileTimes, ofInode inode: UInt64) throws(SourceError) {
    let frozen: FileTimes
    do {
      let representation = try representation()
      guard let node = try representation.node(withInode: inode, inRoot: 0) else {
        throw BtrfsError(.notFound, "the image has no inode \(inode)")
      }
      frozen = FileTimes(try representation.sourceAttributes(of: node))
    } catch {
      throw .failed("\(error)")
    }
    guard times == frozen else {
      throw thaw("inode \(inode) of the snapshot \(subvolume.path) was changed")
    }
  }

  /// What was described of the image; opened when it is first needed.
  private func representation() throws -> Representation {
    if let known = state.withLock({ $0.representation }) { return known }
    let opened = try openRepresentation()
    state.withLock { $0.representation = opened }
    return opened
  }

  /// The subvolume's `ctransid`, if it is read-only.
  private func changeTransaction() throws(SourceError) -> UInt64 {
    let info: SubvolumeInfo
    do {
      info = try subvolume.info()
    } catch {
      if error == .noSuchFileOrDirectory {
        throw thaw("the snapshot \(subvolume.path) was deleted")
      }
      throw .failed("cannot look at the snapshot \(subvolume.path): \(error)")
    }
    guard frozen.isSnapshot(info) else {
      throw thaw("\(subvolume.path) is another subvolume than the one that was frozen")
    }
    guard info.isReadOnly else {
      throw thaw("the snapshot \(subvolume.path) is not read-only any more")
    }
    return info.changeTransaction
  }

  private func thaw(_ reason: String) -> SourceError {
    state.withLock { $0.thawed = reason }
    return .thawed(reason)
  }

  /// Compares the inodes in leaves written since a transaction with what was frozen.
  private func compare(since transaction: UInt64) throws(SourceError) {
    var changed: UInt64?
    do {
      let representation = try representation()
      try subvolume.descriptor.commitTransaction()
      var search = TreeSearch(of: subvolume.descriptor, capacity: 1 << 20)
      try search.scan(frozen.subvolumeID, InodeNumbers.allKeys, since: transaction) {
        item throws(BtrfsError) in
        guard item.key.type == ItemType.inode else { return true }
        if try !isAsFrozen(item, in: representation) { changed = item.key.object }
        return changed == nil
      }
    } catch {
      throw .failed("\(error)")
    }
    if let changed {
      throw thaw("inode \(changed) of the snapshot \(subvolume.path) was changed")
    }
  }

  private func isAsFrozen(
    _ item: TreeItem, in representation: Representation
  ) throws(BtrfsError) -> Bool {
    guard
      let now = InodeItem(
        item.payload, inode: item.key.object, sectorSize: subvolume.fileSystem.sectorSize)
    else { throw BtrfsError(.malformed, "inode \(item.key.object) of \(subvolume.path) is torn") }
    // Orphans are not part of the image.
    if now.links == 0 { return true }
    do {
      guard let node = try representation.node(withInode: item.key.object, inRoot: 0) else {
        return false
      }
      let then = try representation.sourceAttributes(of: node)
      let attributes = now.attributes
      return attributes.size == then.size && attributes.mode == then.mode
        && attributes.owner == then.owner && attributes.group == then.group
        && attributes.modified == then.modified && attributes.changed == then.changed
    } catch {
      throw BtrfsError(error)
    }
  }
}
