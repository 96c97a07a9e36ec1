import DataSets
import FrozenImage
import VolumeLayers

/// What of a file needs no place on a medium.
extension ExtVolume {
  /// The content of an inline file, as far as it is kept; what is missing of its size
  /// reads as zeros.
  func inlineContent(of inode: ExtInode) throws(StackError) -> [UInt8] {
    let inline = try inlineBytes(of: inode)
    let kept = inline.inInode + inline.inAttribute
    return Array(kept.prefix(Int(clamping: inode.attributes.size)))
  }

  /// The target as the kernel reads it: it ends at the first NUL.
  ///
  /// - Throws: `StackError` for what the kernel takes for damage as well.
  func symbolicLinkTarget(of inode: ExtInode) throws -> [UInt8] {
    let size = Int(clamping: inode.attributes.size)
    if inode.isFastSymbolicLink {
      // `__ext4_iget` (fs/ext4/inode.c) refuses one whose length is another.
      let target = Array(inode.blockBytes.prefix { $0 != 0 })
      guard target.count == size, target.count < ExtInode.blockMap.count else {
        throw noTarget(inode)
      }
      return target
    }
    if inode.flags & ExtInode.Flag.inlineData != 0 {
      return Array(try inlineContent(of: inode).prefix { $0 != 0 })
    }
    // One block, and a NUL behind the target (`ext4_symlink`, fs/ext4/namei.c).
    var target: [UInt8]?
    var allowance = ExtBlockAllowance(self)
    try forEachRun(of: inode, &allowance) { run in
      guard run.start == 0, !run.isUnwritten, size <= blockSize else { return }
      target = try layer.bytes(at: run.block * UInt64(blockSize), count: size)
    }
    guard let target else { throw noTarget(inode) }
    return Array(target.prefix { $0 != 0 })
  }

  private func noTarget(_ inode: ExtInode) -> StackError {
    StackError(
      .malformed, "the symbolic link inode \(inode.number) of \(title) has no target: run e2fsck")
  }
}
