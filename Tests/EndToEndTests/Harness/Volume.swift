import Glibc
import Testing

/// A btrfs file system over loop devices over image files, mounted on the
/// production host's side.
final class Volume {
  /// How many devices and what profiles a volume has.
  struct Profile: Sendable, CustomTestStringConvertible {
    let data: String
    let metadata: String
    let devices: Int

    static let single = Profile(data: "single", metadata: "dup", devices: 1)
    static let singleOverTwo = Profile(data: "single", metadata: "raid1", devices: 2)
    static let raid0 = Profile(data: "raid0", metadata: "raid1", devices: 2)
    static let raid0OverThree = Profile(data: "raid0", metadata: "raid1", devices: 3)
    static let raid1 = Profile(data: "raid1", metadata: "raid1", devices: 2)
    static let raid1OverThree = Profile(data: "raid1", metadata: "raid1", devices: 3)
    static let raid10 = Profile(data: "raid10", metadata: "raid10", devices: 4)

    var testDescription: String { "\(data) over \(devices)" }
  }

  /// One medium: an image file and the loop device over it.
  struct Device {
    let image: String
    let loop: String
    /// The device's UUID within the file system: what floe calls the medium's ID.
    let medium: String
  }

  let scratch: Scratch
  let mountpoint: String
  private let name: String
  private(set) var devices: [Device] = []
  /// Discards at once what a commit frees, so that a stale place does not keep
  /// its bytes by luck.
  static let options = "noatime,discard=sync"

  private var imageCount = 0

  init(
    _ profile: Profile, in scratch: Scratch, megabytes: Int, name: String = "production"
  ) throws {
    self.scratch = scratch
    self.name = name
    mountpoint = try scratch.directory(name)
    let images = try (0..<profile.devices).map { _ in try makeImage(megabytes: megabytes) }
    let loops = try images.map { try Self.attach($0) }
    try run(
      "mkfs.btrfs", ["-q", "-d", profile.data, "-m", profile.metadata] + loops)
    devices = try zip(images, loops).map {
      Device(image: $0, loop: $1, medium: try Self.medium(on: $1))
    }
    try mount()
  }

  /// Makes an empty image file and returns its path.
  func makeImage(megabytes: Int) throws -> String {
    imageCount += 1
    let image = "\(scratch.path)/\(name)-medium-\(imageCount)"
    try run("truncate", ["-s", "\(megabytes)M", image])
    return image
  }

  /// Puts a loop device over an image file.
  static func attach(_ image: String) throws -> String {
    let loop = try run("losetup", ["-f", "--show", image])
    return String(loop.split(separator: "\n").first ?? "")
  }

  /// The UUID that a device of a btrfs carries.
  static func medium(on path: String) throws -> String {
    let super_ = try run("btrfs", ["inspect-internal", "dump-super", path])
    for line in super_.split(separator: "\n") where line.hasPrefix("dev_item.uuid") {
      if let identifier = line.split(whereSeparator: \.isWhitespace).last {
        return String(identifier)
      }
    }
    throw HarnessError("\(path) has no btrfs device UUID")
  }

  func mount(options: String = Volume.options) throws {
    let device = devices.first { $0.loop != "" }
    try run("btrfs", ["device", "scan"] + devices.map(\.loop))
    try run("mount", ["-t", "btrfs", "-o", options, device?.loop ?? "", mountpoint])
  }

  func unmount() throws {
    try run("umount", [mountpoint])
  }

  /// Takes a device away from the production host: detached, and forgotten by btrfs.
  /// The volume must not be mounted. Returns what was taken.
  func lose(_ index: Int) throws -> Device {
    let lost = devices.remove(at: index)
    try run("btrfs", ["device", "scan", "--forget", lost.loop])
    try run("losetup", ["-d", lost.loop])
    return lost
  }

  /// Writes everything to the media.
  func sync() throws {
    try run("btrfs", ["filesystem", "sync", mountpoint])
  }
}
