import FrozenImage
import Glibc
import HostSystem

/// One stay of a file system in a kernel, from its first mount to its last unmount.
///
/// A storage is taken back only while nobody has its file system mounted. So what was noted
/// in another stay may be of a history that is not this one's, although its generations
/// are numbers of this one's past.
struct Incarnation: Hashable {
  /// Bytes of its serialised form.
  static let length = 24
  let bytes: [UInt8]

  init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// The present one of a file system that is mounted and stays so.
  ///
  /// The kernel shows a mounted btrfs as a directory in sysfs, whose inode number is given
  /// once (`kernfs_new_node` takes the next of 64 bits). Where sysfs does not show it, this
  /// process can speak of nothing that it did not see itself.
  init(of fileSystem: UniqueIdentifier) {
    var status = stat()
    guard let boot = Self.boot(), stat("/sys/fs/btrfs/\(fileSystem)", &status) == 0 else {
      bytes = UniqueIdentifier.random().bytes + [UInt8](repeating: 0xFF, count: 8)
      return
    }
    let number = UInt64(status.st_ino)
    bytes = boot.bytes + (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
  }

  /// The kernel's identifier of this boot (random(4)).
  private static func boot() -> UniqueIdentifier? {
    guard let file = fopen("/proc/sys/kernel/random/boot_id", "re") else { return nil }
    defer { fclose(file) }
    var text = [UInt8](repeating: 0, count: 36)
    guard fread(&text, 1, text.count, file) == text.count else { return nil }
    return UniqueIdentifier(String(decoding: text, as: UTF8.self))
  }
}
