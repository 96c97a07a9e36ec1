import CFileMap
import Glibc
import LinuxIO
import SystemPackage

/// What /proc/self/mountinfo tells of a mount (proc_pid_mountinfo(5)).
struct MountEntry {
  /// Type of the file system ("ext4").
  let type: String
  /// Options of the mount, such as `ro`.
  let mountOptions: [String]
  /// Options of the file system behind it, the same for all its mounts.
  let superOptions: [String]

  /// The entry of a mount; `nil` when this process does not see it.
  static func find(mount id: UInt64) throws(StackError) -> MountEntry? {
    let text = try contents(of: "/proc/self/mountinfo")
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: " ")).map {
        String(decoding: $0, as: UTF8.self)
      }
      // Optional fields, in any number, end with a dash.
      guard fields.count > 6, fields[0] == String(id),
        let dash = fields[6...].firstIndex(of: "-"), fields.count > dash + 3
      else { continue }
      let options = { (field: String) in field.split(separator: ",").map(String.init) }
      return MountEntry(
        type: fields[dash + 1], mountOptions: options(fields[5]),
        superOptions: options(fields[dash + 3]))
    }
    return nil
  }

  static func contents(of path: String) throws(StackError) -> [UInt8] {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
      defer { try? file.close() }
      var all: [UInt8] = []
      var piece = [UInt8](repeating: 0, count: 65536)
      while true {
        let count = try piece.withUnsafeMutableBytes { try file.read(into: $0) }
        guard count > 0 else { return all }
        all += piece[..<count]
      }
    } catch {
      throw StackError("cannot read \(path): \(error)")
    }
  }
}

/// The block device of a file system, by its number.
enum BlockDevice {
  /// Its path in /dev, as the kernel names it (`DEVNAME` of sysfs).
  static func path(major: UInt32, minor: UInt32) throws(StackError) -> String {
    let text = String(
      decoding: try MountEntry.contents(of: "/sys/dev/block/\(major):\(minor)/uevent"),
      as: UTF8.self)
    for line in text.split(separator: "\n") where line.hasPrefix("DEVNAME=") {
      return "/dev/" + line.dropFirst("DEVNAME=".count)
    }
    throw StackError("the kernel names no device \(major):\(minor)")
  }
}
