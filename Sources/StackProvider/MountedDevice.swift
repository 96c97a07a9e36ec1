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
  /// Whether an XFS was mounted without a look at its log.
  let hasNoLog: Bool

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
        let mounts = try? MountEntry.all(seenBy: process)
      else { continue }
      found.formUnion(mounts.compactMap { MountedDevice($0) })
    }
    return found
  }

  private init?(_ mount: MountEntry) {
    guard let number = DeviceNumber(mount.device) else { return nil }
    if number.major > 0 {
      device = number.packed
    } else if mount.source.hasPrefix("/"),
      case .device(let number) = KernelDevice.Node(at: mount.source)
    {
      // A file system of several devices has a number of its own.
      device = number
    } else {
      return nil
    }
    path = mount.mountpoint
    isWritable = mount.superOptions.first == "rw"
    hasNoLog = mount.superOptions.contains("norecovery")
  }
}
