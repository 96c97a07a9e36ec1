import CLinuxIO
import Glibc
import HostSystem

extension OpenMedium {
  /// How often, and microseconds after which, a device that seems to be in use is looked at
  /// again: somebody else may be looking just now.
  private static let looks = 3
  private static let pause: UInt32 = 20_000

  /// Whether this host uses the medium itself: it, a partition of it or the disk that it is
  /// a part of is mounted, swap, or a part of a volume that the kernel has made of it; or,
  /// of a file, a loop device over it is.
  ///
  /// The kernel knows, for every kind of volume: what it uses, it has claimed, and opening
  /// that once more with a claim fails (O_EXCL of open(2)). The claim of this look is given
  /// up at once.
  ///
  /// - Parameter devices: the paths of this host's block devices.
  package func isUsed(amongst devices: [String]) -> Bool {
    if deviceNumber != nil { return isClaimed }
    return devices.contains { path in
      guard path.contains("loop"), let device = try? OpenMedium(path: path, isShared: true) else {
        return false
      }
      return device.isLoopDevice(over: self, fromItsStart: false) && device.isClaimed
    }
  }

  private var isClaimed: Bool {
    for look in 0..<Self.looks {
      if look > 0 { usleep(Self.pause) }
      let claimed = open(path, O_RDONLY | O_EXCL | O_CLOEXEC)
      if claimed < 0 { continue }
      defer { close(claimed) }
      var status = stat()
      return fstat(claimed, &status) != 0 || UInt64(status.st_rdev) != deviceNumber
    }
    return true
  }
}
