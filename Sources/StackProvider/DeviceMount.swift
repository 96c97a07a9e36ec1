import BlockMappers
import DataSets
import FileTrees
import Glibc
import HostSystem

/// Where this host has the file system of a block device mounted.
struct DeviceMount {
  /// The kernel's type of file system ("ext4").
  let type: String
  let mountpoint: String

  init(type: String, mountpoint: String) {
    self.type = type
    self.mountpoint = mountpoint
  }

  /// - Parameter path: of a block device.
  /// - Returns: `nil` when this process sees no mount of it.
  init?(ofDevice path: String) {
    guard let number = Self.number(of: path), let entries = try? MountEntry.all() else {
      return nil
    }
    let device =
      "\(number >> 8 & 0xFFF | number >> 32 & 0xFFFF_F000)"
      + ":\(number & 0xFF | number >> 12 & 0xFFFF_FF00)"
    // A file system of several devices has a number of its own, and names one of them. Of
    // other types, such as FUSE, whoever mounts it may choose the name.
    let entry = entries.last { entry in
      entry.device == device
        || ["btrfs", "bcachefs"].contains(entry.type) && Self.number(of: entry.source) == number
    }
    guard let entry else { return nil }
    type = entry.type
    mountpoint = entry.mountpoint
  }

  /// Through a loop device that shows the file from its start.
  ///
  /// - Parameter path: of a file, without links.
  init?(ofFile path: String) {
    for device in Sysfs().blockDevices() {
      guard let backing = try? LoopDevice.backing(ofDevice: device), backing.path == path,
        backing.offset == 0, let mount = DeviceMount(ofDevice: device)
      else { continue }
      self = mount
      return
    }
    return nil
  }

  var isExt: Bool { ExtFileSystem.types.contains(type) }

  /// The device number, as glibc packs it; `nil` when the path is no block device.
  private static func number(of path: String) -> UInt64? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return nil }
    return UInt64(status.st_rdev)
  }
}
