package import DataSets
import FrozenImage
package import VolumeLayers

extension ExtFileSystem {
  /// Most of a layer that a file system may leave at its end: `mke2fs` gives up a last block
  /// group that would hold little more than its own tables.
  private static let maximumRest: UInt64 = 4 << 20

  /// Whether a layer holds a file system of which everything that is read first is there and
  /// bears its checksum: the superblock and its backups all over the layer, the descriptors
  /// of all block groups, and the top directory. Asked where another format has a
  /// signature too; one that was made over this one would have written some of it.
  ///
  /// - Throws: `StackError` when the layer cannot be read.
  package static func isWhole(on layer: Layer) throws(StackError) -> Bool {
    guard layer.size >= ExtSuperblock.offset + UInt64(ExtSuperblock.length) else { return false }
    let bytes = try layer.bytes(at: ExtSuperblock.offset, count: ExtSuperblock.length)
    // Without checksums nothing tells old bytes from new ones.
    guard let superblock = try? ExtSuperblock(bytes, title: layer.title),
      superblock.features.hasMetadataChecksums, superblock.features.unreadable.isEmpty,
      superblock.blocks <= layer.size / UInt64(superblock.blockSize)
    else { return false }
    let rest = layer.size - superblock.blocks * UInt64(superblock.blockSize)
    guard rest <= min(maximumRest, layer.size / 16),
      let volume = try? ExtVolume(layer, superblock)
    else { return false }
    return volume.hasItsBackups() && volume.hasTopDirectory()
  }
}

extension ExtVolume {
  fileprivate func hasItsBackups() -> Bool {
    var left = 64
    for group in 1..<max(1, groups) where left > 0 && hasSuperblock(group) {
      left -= 1
      let block =
        UInt64(superblock.firstDataBlock) + UInt64(group) * UInt64(superblock.blocksPerGroup)
      guard contains(block, count: 1),
        let bytes = try? layer.bytes(at: block * UInt64(blockSize), count: ExtSuperblock.length),
        let backup = try? ExtSuperblock(bytes, title: title), backup.id == superblock.id,
        // `s_block_group_nr`.
        backup.number(at: 0x5A) as UInt16 == UInt16(truncatingIfNeeded: group)
      else { return false }
    }
    return true
  }

  /// libext2fs compares the checksums of the inode and of every block.
  fileprivate func hasTopDirectory() -> Bool {
    guard let root = try? inode(ExtTree.root), root.attributes.type == .directory, !root.isFree
    else { return false }
    var allowance = ExtBlockAllowance(self)
    var blocks = 0
    var isDamaged = false
    do {
      try forEachEntry(
        of: root, &allowance,
        accepts: { _ in
          blocks += 1
          return true
        },
        problem: { _ in isDamaged = true }
      ) { _ in }
    } catch {
      return false
    }
    guard !isDamaged else { return false }
    return blocks > 0 || root.flags & ExtInode.Flag.inlineData != 0
  }
}
