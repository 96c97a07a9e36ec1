import CFileMap
import Glibc
import HostSystem
import SystemPackage

/// What /proc/self/mountinfo tells of a mount (proc_pid_mountinfo(5)).
package struct MountEntry {
  let id: String
  /// Of the file system's block device, "8:1"; a number of its own for one that may have
  /// several, such as btrfs.
  package let device: String
  package let mountpoint: String
  /// Type of the file system ("ext4", "fuse.sshfs").
  package let type: String
  /// What is mounted there: a device's path, "host:/export"; "none" for what has none.
  package let source: String
  /// Options of the mount, such as `ro`.
  package let mountOptions: [String]
  /// Options of the file system behind it, the same for all its mounts.
  package let superOptions: [String]

  /// The entry of a mount; `nil` when this process does not see it.
  package static func find(mount id: UInt64) throws(StackError) -> MountEntry? {
    try all().first { $0.id == String(id) }
  }

  /// The mounts that this process sees, those on top of others last.
  package static func all() throws(StackError) -> [MountEntry] {
    try contents(of: "/proc/self/mountinfo").split(separator: UInt8(ascii: "\n"))
      .compactMap { MountEntry($0) }
  }

  private init?(_ line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " ")).map(Self.text)
    // Optional fields, in any number, end with a dash.
    guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), fields.count > dash + 3
    else { return nil }
    let options = { (field: String) in field.split(separator: ",").map(String.init) }
    id = fields[0]
    device = fields[2]
    mountpoint = fields[4]
    type = fields[dash + 1]
    source = fields[dash + 2]
    mountOptions = options(fields[5])
    superOptions = options(fields[dash + 3])
  }

  /// A field without the octal escapes of blanks, tabs, line ends and backslashes.
  private static func text(_ field: ArraySlice<UInt8>) -> String {
    var bytes: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  package static func contents(of path: String) throws(StackError) -> [UInt8] {
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
package enum BlockDevice {
  /// Its path in /dev, as the kernel names it (`DEVNAME` of sysfs).
  package static func path(major: UInt32, minor: UInt32) throws(StackError) -> String {
    let text = String(
      decoding: try MountEntry.contents(of: "/sys/dev/block/\(major):\(minor)/uevent"),
      as: UTF8.self)
    for line in text.split(separator: "\n") where line.hasPrefix("DEVNAME=") {
      return "/dev/" + line.dropFirst("DEVNAME=".count)
    }
    throw StackError("the kernel names no device \(major):\(minor)")
  }
}
