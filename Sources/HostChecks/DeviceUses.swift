import HostSystem

/// What this host itself does with a medium right now.
struct DeviceUses: Sendable {
  let tree: BlockDeviceTree
  /// The mounts of this host.
  let mounts: [MountEntry]

  /// How this host uses a device.
  enum Use: Hashable {
    /// A volume of LVM2 is active; its name as device-mapper has it, and its group's.
    case logicalVolume(String, group: String)
    /// An md array is assembled.
    case array(String)
    /// Another map of device-mapper.
    case map(String)
    /// It is mounted there.
    case mounted(on: String)
    /// It is swap.
    case swap
  }

  init(_ files: HostFiles, mounts: [MountEntry]) {
    tree = BlockDeviceTree(files: files)
    self.mounts = mounts
  }

  /// - Parameter faces: all that shows the medium's bytes.
  func uses(of faces: [String]) -> [Use] {
    let volumes = tree.volumes(on: faces)
    return volumes.compactMap(volume) + mountpoints(of: faces + volumes).map { .mounted(on: $0) }
      + (isSwap(faces + volumes) ? [.swap] : [])
  }

  private func volume(_ name: String) -> Use? {
    if tree.arrayState(name) != nil { return .array(name) }
    guard let map = tree.map(name) else { return nil }
    // lib/activate/dev_manager.c of lvm2: "LVM-" before the identifiers of group and volume.
    guard map.identifier.hasPrefix("LVM-") else { return .map(map.name) }
    return .logicalVolume(map.name, group: Self.group(ofMap: map.name))
  }

  /// A map is called by group, "-" and volume, a dash in either of them doubled
  /// (dm_build_dm_name of libdevmapper).
  static func group(ofMap name: String) -> String {
    var group = ""
    var rest = name[...]
    while let letter = rest.popFirst() {
      if letter == "-" {
        guard rest.first == "-" else { break }
        rest.removeFirst()
      }
      group.append(letter)
    }
    return group
  }

  private func mountpoints(of names: [String]) -> [String] {
    let numbers = Set(names.compactMap { tree.number(of: $0) }.map(\.description))
    let systems = btrfsDevices(with: Set(names))
    return mounts.filter { mount in
      numbers.contains(mount.device)
        || (mount.type == "btrfs" && systems.contains { $0.contains(Self.name(of: mount.source)) })
    }.map(\.mountpoint)
  }

  /// Of each mounted btrfs that has one of some devices, all its devices. Its mounts have a
  /// device number of their own, and name one of them.
  private func btrfsDevices(with names: Set<String>) -> [[String]] {
    let place = "/sys/fs/btrfs"
    return tree.files.names(in: place).map { tree.files.names(in: "\(place)/\($0)/devices") }
      .filter { !names.isDisjoint(with: $0) }
  }

  private static func name(of path: String) -> String {
    (HostPath.resolved(path) ?? path).split(separator: "/").last.map(String.init) ?? path
  }

  private func isSwap(_ names: [String]) -> Bool {
    (tree.files.text("/proc/swaps") ?? "").split(whereSeparator: \.isNewline).dropFirst()
      .compactMap { $0.split(whereSeparator: \.isWhitespace).first.map(String.init) }
      .contains { names.contains(Self.name(of: $0)) }
  }
}
