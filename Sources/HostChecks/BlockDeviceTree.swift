import HostSystem

/// This host's block devices, and which lie on which, as the kernel shows it
/// (Documentation/ABI/stable/sysfs-block, testing/sysfs-block-dm in its sources). A device is
/// named as the kernel names it, "sda1".
struct BlockDeviceTree: Sendable {
  let files: HostFiles

  private func directory(_ name: String) -> String { "/sys/class/block/\(name)" }

  /// The name of a device's number.
  func name(of number: DeviceNumber) -> String? {
    files.names(in: "/sys/class/block").first { self.number(of: $0) == number }
  }

  func number(of name: String) -> DeviceNumber? {
    files.line("\(directory(name))/dev").flatMap { DeviceNumber($0) }
  }

  /// The loop devices over a file.
  func loops(over file: String) -> [String] {
    files.names(in: "/sys/class/block").filter {
      files.line("\(directory($0))/loop/backing_file") == file
    }
  }

  /// Kibibytes that the kernel reads ahead in a device; `nil` for a partition, or when unknown.
  func readAhead(of name: String) -> Int? {
    files.line("\(directory(name))/queue/read_ahead_kb").flatMap { Int($0) }
  }

  /// What device-mapper calls a device; `nil` when it is none of it.
  func map(_ name: String) -> (name: String, identifier: String)? {
    guard let title = files.line("\(directory(name))/dm/name") else { return nil }
    return (title, files.line("\(directory(name))/dm/uuid") ?? "")
  }

  /// The state of an md array ("clean", "active"); `nil` when it is none.
  func arrayState(_ name: String) -> String? { files.line("\(directory(name))/md/array_state") }

  /// A device and whatever shows the same bytes: its partitions, a multipath map over it, that
  /// map's partitions.
  func faces(of name: String) -> [String] {
    var found = [name]
    var next = 0
    while next < found.count {
      let device = found[next]
      next += 1
      let more = partitions(of: device) + holders(of: device).filter(isPath)
      found += more.filter { !found.contains($0) }
    }
    return found
  }

  private func partitions(of name: String) -> [String] {
    files.names(in: directory(name)).filter {
      files.exists("\(directory(name))/\($0)/partition")
    }
  }

  private func holders(of name: String) -> [String] {
    files.names(in: "\(directory(name))/holders")
  }

  /// Whether a map is only another way to a disk or a partition of it (multipath-tools: its
  /// identifier begins with "mpath-", or "part1-mpath-").
  private func isPath(_ name: String) -> Bool {
    guard let identifier = map(name)?.identifier else { return false }
    return identifier.hasPrefix("mpath-")
      || (identifier.hasPrefix("part") && identifier.contains("-mpath-"))
  }

  /// What the kernel made of some devices: those that hold them, and those that hold these, each
  /// once.
  func volumes(on names: [String]) -> [String] {
    var found: [String] = []
    var left = names
    while let name = left.popLast() {
      for holder in holders(of: name) where !names.contains(holder) && !found.contains(holder) {
        found.append(holder)
        left.append(holder)
      }
    }
    return found.sorted()
  }
}
