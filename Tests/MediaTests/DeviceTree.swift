import Glibc
import HostSystem

/// A directory in the form of sysfs, gone with the object. The host of the tests has no
/// multipath and no LUNs, so what the kernel would show of them is written by hand; the
/// devices themselves are loop devices.
final class DeviceTree {
  let root: String

  init() throws {
    var template = Array("/tmp/floe-sysfs-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw LoopDevice.Failure() }
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    try run("mkdir -p class/block dev/block disks")
  }

  var sysfs: Sysfs { Sysfs(root: root) }

  /// Shows a device, with some attributes.
  func add(_ device: String, _ attributes: [String: String] = [:]) throws {
    let name = Self.name(of: device)
    try run(
      """
      mkdir -p disks/\(name)/holders; ln -s ../../disks/\(name) class/block/\(name)
      ln -s ../../disks/\(name) dev/block/$(cat /sys/class/block/\(name)/dev)
      """)
    for (attribute, value) in attributes {
      try run(
        """
        mkdir -p $(dirname disks/\(name)/\(attribute))
        printf '%s\\n' '\(value)' >disks/\(name)/\(attribute)
        """)
    }
  }

  /// Makes a device a path of a map.
  func hold(_ device: String, by map: String) throws {
    let map = Self.name(of: map)
    let device = Self.name(of: device)
    try run(
      """
      ln -s ../../\(map) disks/\(device)/holders/\(map)
      mkdir -p disks/\(map)/slaves; ln -s ../../\(device) disks/\(map)/slaves/\(device)
      """)
  }

  private static func name(of device: String) -> String {
    device.split(separator: "/").last.map(String.init) ?? device
  }

  private func run(_ script: String) throws {
    guard ChildProcess.run("sh", ["sh", "-ec", "cd \(root)\n\(script)"]) == 0 else {
      throw LoopDevice.Failure()
    }
  }

  deinit {
    _ = ChildProcess.run("rm", ["rm", "-rf", root])
  }
}
