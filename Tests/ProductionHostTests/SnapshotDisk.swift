import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import StackProvider
import SystemPackage

/// A thick snapshot of LVM2 with `FileTree` on an ext4, whose origin was overwritten since it was
/// frozen. The real lvm2 writes the metadata, and the test what the kernel would; gone with the
/// object.
final class SnapshotDisk: Sendable {
  let directory: TemporaryDirectory
  var path: FilePath { directory.path.appending("disk") }

  private static let extent = 65536
  /// Bytes from the start of the disk to the first extent.
  private static let start = 1 << 20
  private static let originExtents = 256
  /// The first extent of the snapshot's store.
  private static let store = 300
  private static let storeExtents = 64
  private static let chunk = 4096

  init() throws {
    directory = try TemporaryDirectory()
    let ext = try ExtDisk()
    try shell(
      """
      cd '\(directory.path)'; mkdir system lock; truncate -s 32M disk
      losetup -f --show disk >device
      """)
    try lvm("pvcreate -qq -y")
    try lvm("vgcreate -qq -s 64k vg")
    try commit([Self.origin] + Self.snapshot)
    try shell(
      """
      cd '\(directory.path)'
      dd if='\(ext.path)' of=disk bs=64k seek=16 conv=notrunc status=none
      printf 'SnAp\\1\\0\\0\\0\\1\\0\\0\\0\\10\\0\\0\\0' |
        dd of=disk bs=64k seek=\(16 + Self.store) conv=notrunc status=none
      """)
  }

  deinit { try? shell("losetup -d \"$(cat '\(directory.path)/device')\"") }

  /// Where a freeze finds it.
  var place: StackPlace {
    StackPlace(
      start: .volumeGroup("vg"), selectors: ["snap"], physicalVolumes: [path.string],
      assumesFrozen: false)
  }

  /// What the kernel does when the origin is written: copies chunks that hold something, notes
  /// that, and lets them be overwritten. As many as one area of exceptions has room for.
  func overwriteOrigin() throws {
    let file = try FileDescriptor.open(path, .readWrite)
    try file.closeAfter {
      let store = Self.start + Self.store * Self.extent
      var copied = 0
      for number in 0..<Self.originExtents * Self.extent / Self.chunk where copied < 255 {
        let place = Int64(Self.start + number * Self.chunk)
        var bytes = [UInt8](repeating: 0, count: Self.chunk)
        _ = try bytes.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: place, into: $0) }
        guard bytes.contains(where: { $0 != 0 }) else { continue }
        try file.writeAll(toAbsoluteOffset: Int64(store + (2 + copied) * Self.chunk), bytes)
        let exception = [UInt64(number), UInt64(2 + copied)].flatMap { word in
          (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }
        try file.writeAll(toAbsoluteOffset: Int64(store + Self.chunk + copied * 16), exception)
        try file.writeAll(
          toAbsoluteOffset: place, [UInt8](repeating: 0xA5, count: Self.chunk))
        copied += 1
      }
    }
  }

  /// Removes the snapshot.
  func remove() throws { try commit([Self.origin]) }

  // MARK: lvm2

  private func lvm(_ command: String) throws {
    let words = command.split(separator: " ", maxSplits: 1).map(String.init)
    try shell(
      """
      cd '\(directory.path)'; device=$(cat device)
      LVM_SYSTEM_DIR=$PWD/system LVM_SUPPRESS_FD_WARNINGS=1 lvm \(words[0]) --driverloaded n \
      --config 'devices { filter=["a|^'$device'$|","r|.*|"] use_devicesfile=0 scan_lvs=0 \
      hints="none" obtain_device_list_from_udev=0 sysfs_scan=0 \
      external_device_info_source="none" } \
      global { locking_dir="'$PWD'/lock" use_lvmpolld=0 event_activation=0 } \
      activation { udev_sync=0 udev_rules=0 monitoring=0 } backup { backup=0 archive=0 }' \
      \(words[1]) \(words[0] == "vgcfgbackup" || words[0] == "vgcfgrestore" ? "" : "$device")
      """)
  }

  /// Commits other logical volumes in place of those that there are.
  private func commit(_ volumes: [String]) throws {
    let text = directory.path.appending("text")
    try lvm("vgcfgbackup -qq -f \(text) vg")
    let file = directory.path.appending("volumes")
    let bytes = Array("logical_volumes {\n\(volumes.joined())\n}\n}\n".utf8)
    let descriptor = try FileDescriptor.open(
      file, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
    _ = try descriptor.closeAfter { try descriptor.writeAll(bytes) }
    // The group's section ends the text, the logical volumes end the section.
    try shell(
      """
      cd '\(directory.path)'
      sed -i '/logical_volumes {/,$d;/^}/d' text
      cat volumes >>text
      """)
    try lvm("vgcfgrestore -qq -y --force -f \(text) vg")
  }

  private static func volume(_ name: String, _ number: Int, _ status: String, _ segment: String)
    -> String
  {
    """
    \(name) {
      id = "10000\(number)-aaaa-bbbb-cccc-dddd-eeee-ffffff"
      status = [\(status)]
      flags = []
      creation_time = 1700000000
      creation_host = "here"
      segment_count = 1
      segment1 {
        start_extent = 0
        \(segment)
      }
    }

    """
  }

  private static func linear(_ extents: Int, at place: Int) -> String {
    "extent_count = \(extents)\ntype = \"striped\"\nstripe_count = 1\nstripes = [\"pv0\", \(place)]"
  }

  private static let origin = volume(
    "root", 1, #""READ", "WRITE", "VISIBLE""#, linear(originExtents, at: 0))

  private static let snapshot = [
    volume("snap", 2, #""READ""#, linear(storeExtents, at: store)),
    volume(
      "snapshot0", 3, #""READ", "WRITE", "VISIBLE""#,
      "extent_count = \(originExtents)\ntype = \"snapshot\"\nchunk_size = 8\norigin = \"root\"\n"
        + "cow_store = \"snap\""),
  ]

  /// Whether it can be made here; in CI it has to be.
  static let isPossible: Bool = {
    let tools = "for t in lvm losetup mkfs.ext4; do command -v $t >/dev/null; done"
    if getenv("CI") != nil || geteuid() == 0 && (try? shell(tools)) != nil { return true }
    print("SKIPPED: the production host's rules for a thick snapshot need root, lvm2 and e2fsprogs")
    return false
  }()
}
