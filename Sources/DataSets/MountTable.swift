import FrozenImage
package import HostSystem
import SystemPackage

extension MountEntry {
  /// The entry of a mount; `nil` when this process does not see it.
  ///
  /// - Throws: `StackError` when mountinfo cannot be read.
  package static func find(mount id: UInt64) throws(StackError) -> MountEntry? {
    do throws(Errno) {
      return try all().first { $0.id == String(id) }
    } catch {
      throw StackError("cannot read /proc/self/mountinfo", cause: error)
    }
  }
}

/// The block device of a file system, by its number.
package enum BlockDevice {
  /// Its path in /dev, as the kernel names it (`DEVNAME` of sysfs).
  ///
  /// - Throws: `StackError` when the kernel names no such device.
  package static func path(major: UInt32, minor: UInt32) throws(StackError) -> String {
    let place = "/sys/dev/block/\(major):\(minor)/uevent"
    let text: String
    do throws(Errno) {
      text = String(decoding: try CompleteFile.read(place), as: UTF8.self)
    } catch {
      throw StackError("cannot read \(place)", cause: error)
    }
    for line in text.split(separator: "\n") where line.hasPrefix("DEVNAME=") {
      return "/dev/" + line.dropFirst("DEVNAME=".count)
    }
    throw StackError(.notFound, "the kernel names no device \(major):\(minor)")
  }
}
