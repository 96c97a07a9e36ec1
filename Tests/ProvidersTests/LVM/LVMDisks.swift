import FrozenImage
import Glibc
import HostSystem
import Media
import TestTags
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// Whether real volume groups can be made here. With CI=true the tests run, and fail,
/// rather than being skipped.
enum LVMPrivileges {
  static let why: String = {
    if getuid() != 0 { return "it needs root, for loop devices" }
    let tools = "lvm losetup truncate"
    let missing = try? shell("for t in \(tools); do command -v $t >/dev/null || echo $t; done")
    if let missing, !missing.isEmpty { return "it needs \(missing)" }
    return ""
  }()

  static var suffice: Bool {
    if why.isEmpty || getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: a test of LVM2 with the real lvm2: \(why)")
    return false
  }
}

/// The tests on real volume groups: one after the other, because they share loop devices
/// and the machine's cores.
@Suite(
  "LVM2", .tags(.needsRoot, .needsLoopDevices), .serialized, .enabled(if: LVMPrivileges.suffice))
enum LVMTests {}

/// Disks for the real lvm2, which works on them without device-mapper: nothing is ever
/// activated. Gone again with the object.
///
/// Every 8 bytes of a fresh disk tell the disk and their offset on it, and lvm2 writes
/// nothing but labels and metadata, so a byte of a logical volume tells where it lies.
final class LVMDisks {
  let directory: String
  private(set) var images: [String] = []
  private(set) var devices: [String] = []

  /// Bytes of a physical extent of the groups made here.
  static let extentSize = 65536

  /// - Parameters:
  ///   - megabytes: of each disk.
  ///   - sectorSize: bytes of a disk's logical sectors.
  init(_ count: Int = 2, megabytes: Int = 8, sectorSize: Int = 512) throws {
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    directory = try shell("mktemp -d \(base)/floe-lvm-XXXXXX").trimmed
    do {
      try shell("mkdir \(directory)/system \(directory)/lock")
      for index in 0..<count {
        try addDisk(Self.pattern(disk: index, bytes: megabytes << 20), sectorSize: sectorSize)
      }
    } catch {
      remove()
      throw error
    }
  }

  private func addDisk(_ bytes: [UInt8], sectorSize: Int) throws {
    let image = "\(directory)/disk\(images.count)"
    try write(bytes, to: image, at: 0)
    images.append(image)
    devices.append(try shell("losetup -f --show -b \(sectorSize) \(image)").trimmed)
  }

  /// Makes one more disk; returns its device.
  ///
  /// - Parameter original: a disk that it is a copy of.
  func addDisk(copyOf original: Int? = nil) throws -> String {
    let bytes =
      try original.map { try contents(of: Array(images[$0].utf8)) }
      ?? Self.pattern(disk: images.count, bytes: 8 << 20)
    try addDisk(bytes, sectorSize: 512)
    return devices[devices.count - 1]
  }

  private func remove() {
    for device in devices { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    _ = try? shell("rm -rf \(directory)", ignoringFailure: true)
  }

  deinit { remove() }

  private static func pattern(disk: Int, bytes: Int) -> [UInt8] {
    let words = (0..<UInt64(bytes / 8)).map { UInt64(disk + 1) << 56 | $0 * 8 }
    return words.withUnsafeBytes { Array($0) }
  }

  // MARK: lvm2

  /// Runs a command of lvm2 that sees only these disks and keeps everything it writes
  /// elsewhere in the test's own directory; returns what it printed.
  ///
  /// - Parameters:
  ///   - hiding: a disk that the command does not see.
  ///   - keepsTexts: whether it archives and backs up the metadata as lvm.conf says.
  @discardableResult
  func lvm(
    _ command: String, hiding hidden: Int? = nil, keepsTexts: Bool = false
  ) throws -> String {
    let seen = devices.indices.filter { $0 != hidden }.map { "\"a|^\(devices[$0])$|\"" }
    let (name, rest) = command.split(separator: " ", maxSplits: 1).pair
    return try shell(
      """
      LVM_SYSTEM_DIR=\(directory)/system LVM_SUPPRESS_FD_WARNINGS=1 lvm \(name) --driverloaded n \
      --config 'devices { filter=[\(seen.joined(separator: ",")),"r|.*|"] use_devicesfile=0 \
      scan_lvs=0 hints="none" obtain_device_list_from_udev=0 sysfs_scan=0 \
      external_device_info_source="none" } \
      global { locking_dir="\(directory)/lock" use_lvmpolld=0 event_activation=0 } \
      activation { udev_sync=0 udev_rules=0 monitoring=0 } \
      \(keepsTexts ? "" : "backup { backup=0 archive=0 }")' \
      \(rest) 2>\(directory)/errors || { cat \(directory)/errors; exit 1; }
      """)
  }

  /// Makes every disk a physical volume, and of all of them the group "vg".
  func makeGroup(_ options: String = "") throws {
    try lvm("pvcreate -y \(options) \(devices.joined(separator: " "))")
    try lvm("vgcreate -s \(Self.extentSize / 1024)k vg \(devices.joined(separator: " "))")
  }

  /// Makes a logical volume without touching its content.
  func makeVolume(_ name: String, _ options: String) throws {
    try lvm("lvcreate -y -an -Zn -Wn -n \(name) \(options)")
  }

  /// The group's metadata as text.
  func metadata() throws -> String {
    try lvm("vgcfgbackup -f \(directory)/text vg")
    return String(decoding: try contents(of: Array("\(directory)/text".utf8)), as: UTF8.self)
  }

  /// Commits other logical volumes, in place of those that there are.
  func restore(volumes: [String]) throws {
    let text = try metadata()
    // The group's section ends the text, the logical volumes end the section.
    let parts = text.split(separator: "logical_volumes {", maxSplits: 1)
    let group = parts.count > 1 ? parts[0] : text.trimmed.dropLast()
    try restore(group + "logical_volumes {\n\(volumes.joined())}\n}\n")
  }

  /// Commits other metadata, which lvm2 finds valid.
  func restore(_ metadata: String) throws {
    try write(Array(metadata.utf8), to: "\(directory)/text", at: 0, truncating: true)
    try lvm("vgcfgrestore -y --force -f \(directory)/text vg")
  }

  // MARK: floe

  /// The disks as layers, read as image files.
  func layers() throws -> [Layer] {
    try images.map { Layer(try OpenMedium(path: $0)) }
  }

  /// The only group on layers.
  static func group(on layers: [Layer]) throws -> FoundVolumeGroup {
    var volumes: [PhysicalVolume] = []
    for layer in layers {
      if let volume = try PhysicalVolume.find(on: layer) { volumes.append(volume) }
    }
    return try FoundVolumeGroup.choose(nil, of: volumes)
  }

  func group() throws -> FoundVolumeGroup { try Self.group(on: layers()) }

  func layer(_ name: String) throws -> Layer {
    let group = try group()
    return Layer(try group.map(group.choose(name)))
  }

  /// What mapping a volume fails with.
  func refusal(_ name: String) throws -> String {
    do {
      let group = try group()
      _ = try group.map(group.choose(name))
    } catch let error as StackError {
      return error.description
    }
    return "not refused"
  }
}

extension [Substring] {
  fileprivate var pair: (Substring, Substring) { (self[0], count > 1 ? self[1] : "") }
}

/// Writes bytes into a file.
func write(
  _ bytes: [UInt8], to path: String, at offset: Int, truncating: Bool = false
) throws {
  let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (truncating ? O_TRUNC : 0), 0o600)
  guard file >= 0 else { throw CommandError(description: "cannot open \(path): \(errno)") }
  defer { close(file) }
  guard pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count else {
    throw CommandError(description: "cannot write \(path): \(errno)")
  }
}
