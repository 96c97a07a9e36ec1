import CKernelDevices
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// What the kernel of this host tells of the raids of LVM2 that are active here (`dmsetup
/// status`; Documentation/admin-guide/device-mapper/dm-raid.rst in the kernel's sources).
package struct ActiveRaids: Sendable {
  /// The status of each device of a logical volume, by what its identifier begins with.
  private let statuses: @Sendable (_ identifier: String) throws(StackError) -> [String]

  /// Those of this host.
  package init() { statuses = Self.statuses }

  /// - Parameter statuses: what `dmsetup status` prints of each device of a logical volume
  ///   behind the sectors; empty where it is not active.
  init(statuses: @escaping @Sendable (_ identifier: String) throws(StackError) -> [String]) {
    self.statuses = statuses
  }

  /// Which legs the kernel reads and writes and counts as in sync, by their places; `nil` where
  /// the volume is not active.
  ///
  /// - Throws: `StackError` when it is active and the kernel does not tell.
  func legsInSync(
    of volume: LogicalVolume, in group: VolumeGroup
  ) throws(StackError) -> [Bool]? {
    // lvm2 lib/activate/dev_manager.c, `_build_dm_uuid`.
    let identifier = "LVM-" + String(decoding: group.id.bytes + volume.id.bytes, as: UTF8.self)
    let statuses = try self.statuses(identifier)
    guard !statuses.isEmpty else { return nil }
    // An origin of snapshots, or what a thin pool shows, lies on a device of its own.
    guard let legs = statuses.lazy.compactMap(Self.legs).first else {
      throw StackError(
        .inUse,
        "the logical volume \(group.name)/\(volume.name) is active, and the kernel does not tell of "
          + "the legs of its raid")
    }
    return legs
  }

  /// "raid raid1 2 AA 524288/524288 idle 0 0 -": of each leg A (in sync), a (not in sync), D
  /// (failed) or - (missing).
  private static func legs(_ status: String) -> [Bool]? {
    let words = status.split(separator: " ")
    guard words.count >= 4, words[0] == "raid", let count = Int(words[2]),
      words[3].utf8.count == count
    else { return nil }
    return words[3].utf8.map { $0 == UInt8(ascii: "A") }
  }

  private static let control = "/dev/mapper/control"

  private static func statuses(_ identifier: String) throws(StackError) -> [String] {
    var statuses: [String] = []
    for name in DirectoryListing.names(in: "/sys/class/block") where name.hasPrefix("dm-") {
      // What others lie on has a longer one ("LVM-…-real").
      guard let own = attribute("dm/uuid", of: name), own.hasPrefix(identifier),
        own.utf8.count == identifier.utf8.count
          || own.utf8.dropFirst(identifier.utf8.count).first == UInt8(ascii: "-"),
        let number = attribute("dev", of: name).flatMap({ DeviceNumber($0) })
      else { continue }
      let file = open(control, O_RDWR | O_CLOEXEC)
      guard file >= 0 else {
        throw StackError(
          .inUse,
          "/dev/\(name) may be a raid, of which the kernel tells more than its metadata, and "
            + "\(control) cannot be opened: \(Errno(rawValue: errno))")
      }
      defer { close(file) }
      var text = [CChar](repeating: 0, count: 4096)
      if ckernel_target_status(file, number.major, number.minor, &text, 4096) == 0 {
        statuses.append(
          String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        continue
      }
      let error = Errno(rawValue: errno)
      // A device with several targets is no raid, and one that is gone is not active.
      if error == .noData || error == .noSuchAddressOrDevice { continue }
      throw StackError(.inUse, "/dev/\(name) does not tell its state: \(error)")
    }
    return statuses
  }
  /// What sysfs has of a device; `nil` when that is gone.
  private static func attribute(_ attribute: String, of device: String) -> String? {
    guard
      let file = try? FileDescriptor.open("/sys/class/block/\(device)/\(attribute)", .readOnly)
    else { return nil }
    defer { try? file.close() }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = (try? bytes.withUnsafeMutableBytes { try file.read(into: $0) }) ?? 0
    return String(decoding: bytes.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}
