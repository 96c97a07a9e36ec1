import Glibc
import TestTags
import Testing

@testable import HostSystem

@Suite struct HardwareIDTests {
  static let number = "600a098038303053453f463045727a56"

  @Test(arguments: [
    ("mpath-3\(number)", "naa.\(number)"), ("part2-mpath-3\(number)", "naa.\(number)"),
    ("mpath-35000c500a1b2c3d4", "naa.5000c500a1b2c3d4"),
    ("mpath-20017380012345678", "eui.0017380012345678"),
    (
      "mpath-uuid.4b1d0c6e-3f1e-4d5c-8f3a-3f2b1c0d9e8f", "uuid.4b1d0c6e-3f1e-4d5c-8f3a-3f2b1c0d9e8f"
    ),
    ("mpath-0QEMU_QEMU_HARDDISK_drive-scsi0", "mpath-0QEMU_QEMU_HARDDISK_drive-scsi0"),
  ])
  func ofAMultipathMap(_ map: String, _ id: String) {
    #expect(HardwareID(ofMap: map)?.description == id)
  }

  @Test(arguments: ["LVM-abc", "CRYPT-LUKS2-mpath-3600a", "", "part1"])
  func ofNoMultipathMap(_ map: String) {
    #expect(HardwareID(ofMap: map) == nil)
  }

  @Test(arguments: [
    ("naa.\(number)", "naa.600a098038303053453f463045727a57", true),
    ("naa.\(number)", "naa.600A098038303053453F463045727A56", false),
    // One LUN may have a short and a long one, and several kinds.
    ("naa.\(number)", "naa.5000c500a1b2c3d4", false),
    ("naa.\(number)", "eui.\(number)", false),
    ("t10.ATA     DISK A1", "t10.ATA DISK A1 ", false),
    ("t10.ATA     DISK A1", "t10.ATA     DISK A2", true),
    ("mpath-0QEMU_a", "mpath-0QEMU_b", false), ("mpath-0QEMU_a", "t10.QEMU b", false),
  ])
  func differsOnlyFromOneOfItsForm(_ left: String, _ right: String, _ differs: Bool) throws {
    let left = try #require(HardwareID(left))
    let right = try #require(HardwareID(right))
    #expect(left.contradicts(right) == differs)
    #expect(right.contradicts(left) == differs)
  }

  /// A path and its map are the same LUN.
  @Test(.tags(.needsRoot, .needsLoopDevices), .enabled(if: Privilege.loopDevices))
  func aPathHasTheIdentifierOfItsMap() throws {
    let file = try RandomFile(count: 1 << 16)
    let path = try LoopDevice(over: file.path)
    let map = try LoopDevice(over: file.path)
    let tree = try DeviceTree()
    try tree.add(path.path, ["device/wwid": "naa.\(Self.number)"])
    try tree.add(map.path, ["dm/uuid": "mpath-3\(Self.number)"])
    #expect(tree.sysfs.hardwareID(ofDevice: path.path)?.description == "naa.\(Self.number)")
    #expect(
      tree.sysfs.hardwareID(ofDevice: path.path) == tree.sysfs.hardwareID(ofDevice: map.path))
    #expect(tree.sysfs.multipathMap(overDevice: path.path) == nil)
    try tree.hold(path.path, by: map.path)
    #expect(tree.sysfs.multipathMap(overDevice: path.path) == map.path)
    #expect(tree.sysfs.multipathMap(overDevice: map.path) == nil)
    #expect(tree.sysfs.hardwareID(ofDevice: file.path) == nil)
  }
}
