import DataSets
import Glibc
import HostSystem

/// A mount of a file system on a block device, in any mount namespace of this host that
/// this user may look into.
struct MountedDevice: Hashable {
  /// As stat(2) gives it.
  let device: UInt64
  let path: String
  /// Whether the file system is written to; it may be so through another mount of it.
  let isWritable: Bool

  static func all() -> Set<MountedDevice> {
    var seen: Set<String> = []
    var found: Set<MountedDevice> = []
    let processes = DirectoryListing.names(in: "/proc").filter { Int($0) != nil }
    for process in ["self"] + processes {
      var name = [CChar](repeating: 0, count: 64)
      guard readlink("/proc/\(process)/ns/mnt", &name, 63) > 0 else { continue }
      let namespace = name.withUnsafeBytes {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard seen.insert(namespace).inserted,
        let text = try? MountEntry.contents(of: "/proc/\(process)/mountinfo")
      else { continue }
      found.formUnion(text.split(separator: UInt8(ascii: "\n")).compactMap { MountedDevice($0) })
    }
    return found
  }

  /// - Parameter line: of mountinfo (proc_pid_mountinfo(5)).
  private init?(_ line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " ")).map {
      String(decoding: $0, as: UTF8.self)
    }
    guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"), fields.count > dash + 3
    else { return nil }
    let parts = fields[2].split(separator: ":").compactMap { UInt64($0) }
    guard parts.count == 2 else { return nil }
    if parts[0] > 0 {
      device = KernelDevice.pack(major: parts[0], minor: parts[1])
    } else if fields[dash + 2].hasPrefix("/"),
      case .device(let number) = KernelDevice.Node(at: fields[dash + 2])
    {
      // A file system of several devices has a number of its own.
      device = number
    } else {
      return nil
    }
    path = fields[4]
    isWritable = fields[dash + 3].split(separator: ",").first == "rw"
  }
}
