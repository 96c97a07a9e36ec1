import Glibc
package import SystemPackage

/// A disk image with an ext4 that holds `FileTree`, made without root; gone with the object.
package final class ExtDisk: Sendable {
  package let directory: TemporaryDirectory
  package let path: FilePath

  package init() throws {
    directory = try TemporaryDirectory()
    path = directory.path.appending("disk.img")
    let tree = directory.path.appending("tree")
    try shell("mkdir '\(tree)'")
    try FileTree.make(in: tree)
    try shell("mkfs.ext4 -q -F -d '\(tree)' '\(path)' 16M; rm -r '\(tree)'")
  }

  /// Counts the file system as mounted once more, as any use of it would (ext4's s_mnt_count,
  /// s_wtime), so that it is not what it was.
  package func use() throws {
    try shell("tune2fs -C 7 '\(path)' >/dev/null; touch '\(path)'")
  }

  /// Whether mke2fs is there; in CI it has to be.
  package static let isPossible: Bool = {
    if getenv("CI") != nil || (try? shell("command -v mkfs.ext4 >/dev/null")) != nil {
      return true
    }
    print("SKIPPED: tests of a disk image need mkfs.ext4")
    return false
  }()
}
