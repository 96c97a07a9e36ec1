package import Testing

/// What a test needs of the machine, and what it costs. `mount-scripts/test tag:NAME` runs the
/// tests that carry one; a suite's tags are those of all its tests.
extension Tag {
  /// Root: mounts, the btrfs tree search, acting as another user.
  @Tag package static var needsRoot: Self
  /// Loop devices (`/dev/loop-control`), and the kernel's file systems on them.
  @Tag package static var needsLoopDevices: Self
  /// `/dev/fuse`, and the right to mount.
  @Tag package static var needsFUSE: Self
  /// QEMU and a kernel of Debian's for a guest (`mount-scripts/install-missing guest`).
  @Tag package static var needsGuest: Self
  /// Network namespaces with lines of their own between them.
  @Tag package static var needsNetworkNamespaces: Self
  /// More than a minute on two cores.
  @Tag package static var slow: Self
}
