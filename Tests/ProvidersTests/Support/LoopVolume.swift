import Glibc
import TestTags
import Testing

/// Whether real file systems can be made here. With CI=true the tests run, and fail,
/// rather than being skipped.
enum Privileges {
  static let why: String = {
    let tools = "mkfs.btrfs btrfs losetup mount setfattr chattr python3"
    let missing = (try? shell("for t in \(tools); do command -v $t >/dev/null || echo $t; done"))
    if getuid() != 0 { return "it needs root" }
    if let missing, !missing.isEmpty { return "it needs \(missing)" }
    return ""
  }()

  static var suffice: Bool {
    if why.isEmpty || getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: a test of the btrfs provider: \(why)")
    return false
  }
}

/// The tests on real file systems: one after the other, because they share loop
/// devices and the machine's two cores.
@Suite("btrfs", .tags(.needsRoot, .needsLoopDevices), .serialized, .enabled(if: Privileges.suffice))
enum BtrfsTests {}

/// A real btrfs over loop devices, mounted; gone again with the object.
final class LoopVolume {
  let directory: String
  /// The mounted top-level subvolume.
  let mount: String
  private(set) var images: [String] = []
  private(set) var devices: [String] = []

  /// - Parameters:
  ///   - size: bytes of each device, as `truncate` takes them.
  ///   - format: options of mkfs.btrfs.
  ///   - mounting: mount options.
  init(
    devices count: Int = 1, size: String = "512M", format: String = "", mounting: String = "noatime"
  ) throws {
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    directory = try shell("mktemp -d \(base)/floe-btrfs-XXXXXX").trimmed
    mount = directory + "/mnt"
    do {
      try shell("mkdir \(mount)")
      for index in 0..<count { try addDevice(index, size) }
      try shell("mkfs.btrfs -q -f \(format) \(devices.joined(separator: " "))")
      try shell("btrfs device scan \(devices.joined(separator: " "))")
      try shell("mount -t btrfs -o \(mounting) \(devices[0]) \(mount)")
    } catch {
      remove()
      throw error
    }
  }

  /// Makes one more device, without adding it to the volume.
  @discardableResult
  func addDevice(_ index: Int, _ size: String) throws -> String {
    let image = "\(directory)/disk\(index)"
    try shell("truncate -s \(size) \(image)")
    let device = try shell("losetup -f --show \(image)").trimmed
    images.append(image)
    devices.append(device)
    return device
  }

  private func remove() {
    _ = try? shell("umount -l \(mount)", ignoringFailure: true)
    for device in devices { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    _ = try? shell("rm -rf \(directory)", ignoringFailure: true)
  }

  deinit { remove() }

  /// Runs a script while the volume is not mounted, and mounts it again.
  func unmounted(_ body: () throws -> Void) throws {
    try shell("umount \(mount)")
    defer { _ = try? shell("mount -t btrfs -o noatime \(devices[0]) \(mount)") }
    try body()
  }

  func path(_ name: String) -> String { "\(mount)/\(name)" }
}

extension String {
  var trimmed: String {
    var text = self[...]
    while let last = text.last, last.isWhitespace { text = text.dropLast() }
    return String(text)
  }
}
