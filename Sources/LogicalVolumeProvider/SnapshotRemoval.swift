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

  /// Tenths of a second that a guard of an interrupted freeze is waited for.
  private static let patience = 600

  /// It is no error when there is none.
  ///
  /// - Throws: `StackError` when it may be there: its group is not, or lvm2 does not remove it.
  func run() throws(StackError) {
    try awaitMaker()
    guard name.hasPrefix("floe-"), UniqueIdentifier(String(name.dropFirst(5))) != nil else {
      throw StackError(.notPermitted, "\(group)/\(name) is no snapshot of floe's")
    }
    let groups = try LVMCommand.report("vgs", ["vg_name"], where: "vg_uuid=\(groupID)")
    guard let present = groups.first?.first else {
      throw StackError(
        .notFound,
        "the snapshot \(group)/\(name) cannot be removed: the volume group \(group) (\(groupID)) is "
          + "not on this host")
    }
    guard try isThere() else { return }
    try LVMCommand.change(["lvremove", "--yes", "\(present)/\(name)"])
    guard try !isThere() else {
      throw StackError(.failed, "lvremove left the snapshot \(present)/\(name)")
    }
  }

  private func isThere() throws(StackError) -> Bool {
    try !LVMCommand.report(
      "lvs", ["lv_name"], where: "vg_uuid=\(groupID) && lv_name=\(name)"
    ).isEmpty
  }

  /// floe may have been killed while lvm2 made the snapshot: its guard goes on, and the snapshot
  /// comes yet. Nobody else has its name on the command line.
  private func awaitMaker() throws(StackError) {
    for _ in 0..<Self.patience {
      guard Self.isMade(name) else { return }
      usleep(100_000)
    }
    throw StackError(
      .inUse, "lvm2 is still making the snapshot \(group)/\(name): let lvcreate end, and try again")
  }

  private static func isMade(_ name: String) -> Bool {
    DirectoryListing.names(in: "/proc").contains { process in
      guard Int32(process) != nil, let bytes = try? CompleteFile.read("/proc/\(process)/cmdline")
      else { return false }
      let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      return words.contains(name)
        && words.contains { $0 == "lvcreate" || $0 == SuspensionGuard.command }
    }
  }
}
