/// Whether the kernel is new enough.
public enum KernelCheck {
  /// Since 4.20: BTRFS_IOC_GET_SUBVOL_INFO for users (4.18), and FUSE's cached directories.
  private static let oldest = (4, 20)

  /// - Parameter files: of the host.
  public static func finding(_ files: HostFiles = HostFiles()) -> Finding {
    guard let release = files.line("/proc/sys/kernel/osrelease") else {
      return .note(
        .kernel, nil, "its release is not known: /proc/sys/kernel/osrelease cannot be read")
    }
    let numbers = release.split { !$0.isNumber }.prefix(2).map { Int($0) ?? 0 }
    guard numbers.count == 2, (numbers[0], numbers[1]) < oldest else {
      return .ok(.kernel, nil, release)
    }
    return .wrong(
      .kernel, nil, "\(release) is older than \(oldest.0).\(oldest.1)",
      meaning: "no btrfs can be frozen on this host, and mounts do not keep directories in memory",
      advice: "start a newer kernel")
  }
}
