import CKernelDevices
import Glibc
import HostSystem

/// The devices of a volume group, as device-mapper shows them. What tells whether those that are
/// there now are suspended is kept open: to open a file may take memory, for which the kernel may
/// want to write to them.
struct GroupDevices {
  /// The group's identifier without dashes: what the devices' identifiers begin with.
  let group: String
  private let origin: Int32
  private let control: Int32
  private var known: [Device] = []

  private struct Device {
    let number: DeviceNumber
    /// Bytes of its identifier: those that others lie on have longer ones ("LVM-…-real").
    let length: Int
    let state: Int32
  }

  /// - Parameters:
  ///   - device: the origin's.
  ///   - control: /dev/mapper/control, open.
  /// - Returns: `nil` when it is no logical volume.
  init?(of device: DeviceNumber, control: Int32) {
    let id = Self.text("/sys/dev/block/\(device)/dm/uuid")
    let group = id.dropFirst(4).prefix(32)
    origin = open("/sys/dev/block/\(device)/dm/suspended", O_RDONLY | O_CLOEXEC)
    guard id.hasPrefix("LVM-"), group.utf8.count == 32, !group.contains("/"), origin >= 0 else {
      return nil
    }
    self.group = String(group)
    self.control = control
    known = devices()
  }

  /// Whether the origin is suspended.
  var isSuspended: Bool { Self.reads1(origin) }

  /// Resumes all suspended devices of the group, those first that others lie on.
  func resume() {
    // Some came with the command.
    let numbers = known.map(\.number)
    let new = devices { !numbers.contains($0) }
    defer { for device in new { close(device.state) } }
    for device in (known + new).sorted(by: { $0.length > $1.length })
    where Self.reads1(device.state) {
      _ = ckernel_resume(control, device.number.major, device.number.minor)
    }
  }

  private func devices(where isWanted: (DeviceNumber) -> Bool = { _ in true }) -> [Device] {
    DirectoryListing.names(in: "/sys/class/block").compactMap { name in
      guard name.hasPrefix("dm-") else { return nil }
      let directory = "/sys/class/block/\(name)"
      let id = Self.text("\(directory)/dm/uuid")
      guard id.hasPrefix("LVM-\(group)"), let number = DeviceNumber(Self.text("\(directory)/dev")),
        isWanted(number)
      else { return nil }
      let state = open("\(directory)/dm/suspended", O_RDONLY | O_CLOEXEC)
      guard state >= 0 else { return nil }
      return Device(number: number, length: id.utf8.count, state: state)
    }
  }

  private static func reads1(_ file: Int32) -> Bool {
    var byte: UInt8 = 0
    return pread(file, &byte, 1, 0) == 1 && byte == UInt8(ascii: "1")
  }

  /// A short attribute of sysfs; empty when it is not there.
  static func text(_ path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = read(file, &bytes, bytes.count)
    return String(
      decoding: bytes.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}
