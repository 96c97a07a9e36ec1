import DataSets
import FrozenImage
import Glibc
import HostSystem

/// Removes a snapshot that floe made, or was about to.
struct SnapshotRemoval {
  let groupID: String
  let group: String
  /// The snapshot's own.
  let name: String
  /// The origin's identifier; `nil` where it is not known.
  var origin: String?

  /// Tenths of a second that a guard of an interrupted freeze is waited for.
  private static let patience = 600

  /// Seconds after which an origin that stands still is set going, whatever lvremove does.
  private static let quietLimit: UInt64 = 10

  /// It is no error when there is none.
  ///
  /// - Throws: `StackError` when it may be there: its group is not, or lvm2 does not remove it.
  func run() throws(StackError) {
    try awaitMaker()
    guard name.hasPrefix("floe-"), UniqueIdentifier(String(name.dropFirst(5))) != nil else {
      throw StackError(.notPermitted, "\(group)/\(name) is no snapshot of floe's")
    }
    try endLeftSuspension()
    let groups = try LVMCommand.report("vgs", ["vg_name"], where: "vg_uuid=\(groupID)")
    guard let present = groups.first?.first else {
      throw StackError(
        .notFound,
        "the snapshot \(group)/\(name) cannot be removed: the volume group \(group) (\(groupID)) is "
          + "not on this host")
    }
    var failure: StackError?
    for _ in 0..<Self.attempts {
      guard let found = try find() else { return }
      do throws(StackError) {
        try remove(found, of: present)
      } catch {
        failure = error
      }
    }
    guard try find() != nil else { return }
    throw failure ?? StackError(.failed, "lvremove left the snapshot \(present)/\(name)")
  }

  /// Times that lvremove is run. When lvcreate was killed before it committed, the devices of a
  /// snapshot are there that the metadata know nothing of: one lvremove takes the origin off
  /// them and fails, the next one removes them.
  private static let attempts = 2

  private func remove(
    _ found: (id: String, origin: String?), of group: String
  ) throws(StackError) {
    // By its identifier: names may be given anew.
    let words = ["lvremove", "--yes", "--select", "lv_uuid=\(found.id)", group]
    var device: DeviceNumber?
    // Of such a snapshot lvm2 names no origin.
    if let origin = found.origin ?? origin { device = try Self.device(of: origin, in: groupID) }
    guard let device else { return try LVMCommand.change(words) }
    // The origin stands still meanwhile.
    let outcome = try GuardedCommand(words: words, device: device, quietLimit: Self.quietLimit)
      .run()
    guard outcome.status == 0 else {
      throw StackError(.failed, "lvremove failed (\(outcome.status)): \(outcome.output)")
    }
  }

  /// The snapshot's identifier, and its origin's where that is suspended when it is removed.
  private func find() throws(StackError) -> (id: String, origin: String?)? {
    let row = try LVMCommand.report(
      "lvs", ["lv_uuid", "origin_uuid", "pool_lv"], where: "vg_uuid=\(groupID) && lv_name=\(name)"
    ).first
    guard let row else { return nil }
    return (row[0], row[2].isEmpty && !row[1].isEmpty ? row[1] : nil)
  }

  /// The device of a volume by its identifier; `nil` of one that is not active, so that nobody
  /// writes to it.
  static func device(of volume: String, in groupID: String) throws(StackError) -> DeviceNumber? {
    let row = try LVMCommand.report(
      "lvs", ["lv_kernel_major", "lv_kernel_minor"],
      where: "vg_uuid=\(groupID) && lv_uuid=\(volume)"
    ).first
    return row.flatMap { DeviceNumber("\($0[0]):\($0[1])") }
  }

  private func endLeftSuspension() throws(StackError) {
    try LeftSuspension(group: groupID, volume: origin ?? "")?.end { Self.isMade(name) }
  }

  /// floe may have been killed while lvm2 made the snapshot: its guard goes on, and the snapshot
  /// comes yet. Nobody else has its name on the command line.
  private func awaitMaker() throws(StackError) {
    for _ in 0..<Self.patience {
      guard Self.isMade(name) else { return }
      // A guard that was killed leaves lvm2 behind, which may wait for the origin itself.
      try endLeftSuspension()
      usleep(100_000)
    }
    throw StackError(
      .inUse, "lvm2 is still making the snapshot \(group)/\(name): let lvcreate end, and try again")
  }

  /// Whether lvm2, or a guard, is at work to make a snapshot.
  static func isMade(_ name: String) -> Bool {
    DirectoryListing.names(in: "/proc").contains { process in
      // A stranger's process keeps nobody waiting.
      var status = stat()
      guard Int32(process) != nil, stat("/proc/\(process)", &status) == 0,
        status.st_uid == geteuid(),
        let bytes = try? CompleteFile.read("/proc/\(process)/cmdline")
      else { return false }
      let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      return words.contains(name)
        && words.contains { $0 == "lvcreate" || $0 == SuspensionGuard.command }
    }
  }
}
