package import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A block device of this host, and what sysfs tells of it
/// (Documentation/ABI/stable/sysfs-block, testing/sysfs-block-dm in the kernel's sources).
package struct StackDevice {
  /// As the caller named it; below /dev for the disk of a partition.
  package let path: String
  /// Its directory in sysfs.
  private let directory: String

  /// - Returns: `nil` when the path is no block device.
  /// - Throws: `StackError` when it cannot be looked at.
  package static func find(_ path: String) throws(StackError) -> StackDevice? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw StackError("\(path)", cause: Errno(rawValue: errno))
    }
    guard status.st_mode & S_IFMT == S_IFBLK else { return nil }
    let number = DeviceNumber(packed: UInt64(status.st_rdev))
    return StackDevice(path: path, directory: "/sys/dev/block/\(number)")
  }

  /// What the kernel knows of a partition.
  package struct Partition {
    /// The whole device that carries the partition.
    package let disk: StackDevice
    /// From 1 on, as the kernel numbers it.
    package let number: Int
    /// Bytes from the start of the disk.
    package let start: UInt64
    /// Bytes.
    package let size: UInt64
  }

  /// The part of a disk that it is; `nil` when it is none.
  package var partition: Partition? {
    // sysfs counts 512 bytes, whatever the disk's sectors have.
    guard let number = text("partition").flatMap({ Int($0) }),
      let start = text("start").flatMap({ UInt64($0) }), start < 1 << 54,
      let size = text("size").flatMap({ UInt64($0) }), size < 1 << 54,
      let own = realpath("\(directory)/..", nil)
    else { return nil }
    defer { free(own) }
    let disk = String(cString: own)
    guard let name = FilePath(disk).lastComponent?.string else { return nil }
    // The kernel writes "!" for a slash in a device's name.
    let path = "/dev/" + String(name.map { $0 == "!" ? "/" : $0 })
    return Partition(
      disk: StackDevice(path: path, directory: disk), number: number, start: start * 512,
      size: size * 512)
  }

  /// The identifiers of the group and the logical volume that device-mapper shows here, in groups as
  /// lvm writes it; `nil` when it is none.
  package var logicalVolume: (group: String, volume: String)? {
    // "LVM-", the group's 32 characters, the volume's 32 characters (lvm2
    // lib/activate/dev_manager.c, `_build_dm_uuid`), nothing behind for a volume that
    // is not internal.
    guard let uuid = text("dm/uuid"), uuid.hasPrefix("LVM-"), uuid.utf8.count == 68 else {
      return nil
    }
    guard let group = VolumeIdentifier(uuid.dropFirst(4).prefix(32).utf8),
      let volume = VolumeIdentifier(uuid.suffix(32).utf8)
    else { return nil }
    return (group.description, volume.description)
  }

  /// Paths of the devices that the kernel makes an md array of; `nil` when it is none, such as
  /// a partition of one (Documentation/admin-guide/md.rst).
  package var arrayMembers: [String]? {
    guard let version = text("md/metadata_version") else { return nil }
    // An array that was made without superblocks, or with another format's, may have old ones
    // of md's on its members.
    guard version == "0.90" || version.hasPrefix("1.") else { return [] }
    return DirectoryListing.names(in: "\(directory)/slaves").sorted().map { name in
      "/dev/" + String(name.map { $0 == "!" ? "/" : $0 })
    }
  }

  private func text(_ name: String) -> String? {
    guard let file = try? FileDescriptor.open("\(directory)/\(name)", .readOnly) else {
      return nil
    }
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = (try? bytes.withUnsafeMutableBytes { try file.read(into: $0) }) ?? 0
    return String(decoding: bytes.prefix(count), as: UTF8.self)
      .split(separator: "\n").first.map(String.init)
  }
}
