import Glibc
public import HostSystem

/// How far the kernel reads ahead in a mount of floe: what makes a sequential copy fast.
public enum MountReadAhead {
  /// KiB that the kernel gives a FUSE mount which nobody raised.
  private static let kernels = 128

  /// - Parameter mount: one of floe's.
  /// - Returns: `nil` when it is as it should be, or not known.
  public static func finding(
    for mount: MountEntry, _ files: HostFiles = HostFiles()
  ) -> Finding? {
    guard
      let ahead = files.line("/sys/class/bdi/\(mount.device)/read_ahead_kb").flatMap({ Int($0) }),
      ahead <= kernels
    else { return nil }
    return .note(
      .connection, mount.mountpoint, "the kernel reads only \(ahead) KiB ahead in it",
      meaning: "sequential copies are slower than they could be",
      advice: "as root: echo 4096 > /sys/class/bdi/\(mount.device)/read_ahead_kb")
  }
}
