import CBtrfs
import FrozenImage
import Glibc
import SystemPackage

extension TreeWalk {
  /// The target of a symbolic link, as the kernel reads it.
  ///
  /// The kernel goes by the inode's size and ends the target at the first NUL
  /// (`page_get_link`, fs/namei.c). Other programs keep a NUL, and count it, at the end of
  /// the extent (`mkfs.btrfs --rootdir`, `btrfs-convert`), and a target that is too long
  /// to lie inline in an extent of its own.
  ///
  /// - Parameter extent: the first of the link.
  func linkTarget(
    _ extent: FileExtentItem, of attributes: NodeAttributes
  ) throws(BtrfsError) -> [UInt8] {
    guard case .inline(let length, let bytes, isEncoded: false) = extent else {
      return try files.linkTarget(ofInode: attributes.inode)
    }
    let count = min(length, attributes.size)
    return Array(bytes.prefix(Int(clamping: count)).prefix { $0 != 0 })
  }
}

extension OpenFiles {
  /// Longest target that the kernel gives (`PATH_MAX` and its NUL, linux/limits.h).
  private static let longestTarget = 4096

  /// What readlink(2) gives for a symbolic link of the subvolume.
  func linkTarget(ofInode inode: UInt64) throws(BtrfsError) -> [UInt8] {
    let link = try openInode(inode, mustBe: S_IFLNK, flags: cbtrfs_o_path)
    defer { try? link.close() }
    var target = [UInt8](repeating: 0, count: Self.longestTarget)
    let count = cbtrfs_read_link(link.rawValue, &target, target.count)
    guard count >= 0 else {
      throw BtrfsError(
        cannot: "read the symbolic link with inode number \(inode)", Errno(rawValue: errno))
    }
    return Array(target.prefix(count))
  }
}
