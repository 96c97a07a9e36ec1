import CFileMap
package import FrozenImage
import Glibc
package import HostSystem
package import SystemPackage

/// What the kernel tells of an open file.
package struct FileStatus {
  /// With the inode flags of regular files and directories.
  package let attributes: NodeAttributes
  /// The mount that it was opened on; 0 before Linux 5.8.
  package let mount: UInt64
  /// The device of the file system, as `st_dev` tells it.
  package let device: DeviceNumber

  /// - Parameters:
  ///   - generation: as the file's handle tells it.
  ///   - readsFlags: `false` for a file that is open only to be looked at, whose flags
  ///     cannot be asked for.
  package init(
    of file: FileDescriptor, generation: UInt32, readsFlags: Bool = true
  ) throws(Errno) {
    var found = cfilemap_status()
    guard cfilemap_look(file.rawValue, &found) == 0 else { throw Errno(rawValue: errno) }
    var flags: UInt32 = 0
    let format = found.mode & UInt32(S_IFMT)
    if readsFlags, format == UInt32(S_IFREG) || format == UInt32(S_IFDIR) {
      guard cfilemap_flags(file.rawValue, &flags) == 0 else { throw Errno(rawValue: errno) }
    }
    attributes = NodeAttributes(
      inode: found.inode, generation: UInt64(generation), mode: found.mode, links: found.links,
      owner: found.owner, group: found.group, deviceMajor: found.special_major,
      deviceMinor: found.special_minor, size: found.size, blocks: found.blocks,
      accessed: Timestamp(found.accessed), modified: Timestamp(found.modified),
      changed: Timestamp(found.changed),
      created: found.has_created != 0 ? Timestamp(found.created) : nil,
      inodeFlags: UInt64(flags))
    mount = found.mount
    device = DeviceNumber(major: found.device_major, minor: found.device_minor)
  }
}

extension Timestamp {
  fileprivate init(_ time: cfilemap_time) {
    self.init(seconds: time.seconds, nanoseconds: min(time.nanoseconds, 999_999_999))
  }
}
