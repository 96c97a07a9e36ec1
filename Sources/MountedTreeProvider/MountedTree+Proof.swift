import CFileMap
import DataSets
import FileTrees
import FrozenImage
import Glibc
public import ImageReader
import SystemPackage

// Still frozen
// ============
// A file system that is read-only as a whole changes only after it was mounted for
// writing. ext4 cannot be without changing its superblock (mount count, times, the
// journal's recovery flag), whatever happens afterwards; ext2 and XFS change theirs at
// the latest when they come to rest again (XFS logs it when the log is covered). So the
// whole image is given up when the file system is not read-only now or its superblock
// differs. On ext2 and XFS this alone may come too late to prove a read, so files are
// compared too.
//
// A single file is as frozen when inode, generation, change time, size, mode, flags and
// every extent are. Whoever writes, through the page cache, past it or through memory,
// sets the change time first (`file_update_time`, `file_modified`; a mapped page is
// write-protected by the writeback of FIEMAP_FLAG_SYNC at the freeze, so a later write
// to it comes by `page_mkwrite`). Defragmentation moves blocks and sets no time
// (EXT4_IOC_MOVE_EXT, XFS_IOC_SWAPEXT), but shows in the extents. One that moves blocks
// away and back again between two looks leaves nothing to compare: only a promise
// excludes it, that of a read-only file system, of a copy that no one can open for
// writing, or of the user.

extension MountedTree {
  /// Proves that what the whole tree was frozen by still holds.
  ///
  /// - Throws: `SourceError.thawed` when it does not; it never will again.
  public func liveCheck() throws(SourceError) {
    try requireTop()
    guard image.promise == .readOnly else { return }
    let isReadOnly: Bool
    let superblock: MountedSuperblock
    do throws(StackError) {
      isReadOnly = try mount.isReadOnly()
      superblock = try OpenFileSystem.superblock(on: medium, kind: kind)
    } catch {
      throw .failed(error.description)
    }
    guard isReadOnly else {
      throw .thawed("the \(kind.rawValue) of \(image.path) was mounted read-write")
    }
    guard superblock.digest.description == image.superblockDigest else {
      throw .thawed(
        "the \(kind.rawValue) of \(image.path) was written since: its superblock has changed")
    }
  }

  /// Proves that the top directory is the one that was frozen.
  private func requireTop() throws(SourceError) {
    let top: FileDescriptor
    do throws(Errno) {
      top = try mount.open(image.top, type: .directory)
    } catch {
      guard error == .staleNFSFileHandle || error == .noSuchFileOrDirectory else {
        throw .failed("cannot open \(image.path): \(error)")
      }
      throw .thawed("\(image.path) was deleted")
    }
    defer { try? top.close() }
    let attributes: NodeAttributes
    do throws(Errno) {
      attributes = try FileStatus(of: top, generation: image.generation).attributes
    } catch {
      throw .failed("cannot look at \(image.path): \(error)")
    }
    guard attributes.links > 0 else { throw .thawed("\(image.path) was deleted") }
    if image.promise == .reflinkCopy,
      attributes.inodeFlags & UInt64(cfilemap_flag_immutable) == 0
    {
      throw .thawed("the copy \(image.path) is not complete, or not immutable any more")
    }
  }
}
