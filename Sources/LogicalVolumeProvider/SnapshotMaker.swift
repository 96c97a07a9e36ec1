import DataSets
import FrozenImage

/// Has lvm2 make a snapshot, under guard.
struct SnapshotMaker {
  let volume: MountedVolume
  let plan: SnapshotPlan
  /// Seconds after which the quiet time is ended.
  let quietLimit: UInt64

  /// - Returns: nanoseconds for which nobody could write; `nil` when that was not seen, as it
  ///   was over at once.
  /// - Throws: `StackError` when there is no snapshot of a moment at which nobody wrote.
  func make(_ image: UniqueIdentifier) throws(StackError) -> UInt64? {
    try volume.writeOut()
    let outcome = try GuardedCommand(
      words: plan.words(for: image), device: plan.origin.device, quietLimit: quietLimit
    ).run()
    let origin = plan.origin.title
    guard outcome.status == 0 else {
      throw StackError(.failed, "lvcreate made no snapshot of \(origin): \(outcome.output)")
    }
    guard !outcome.wasForced else {
      throw StackError(
        .inUse,
        "the file system of \(origin) stood still for more than \(quietLimit) s while its snapshot "
          + "was made, so it was set going again and the snapshot is removed: try again when the "
          + "disks are less busy, or allow more (--quiet-limit)")
    }
    try requireSnapshot(SnapshotPlan.name(of: image))
    try volume.requireMounted()
    // One that has its own room is active as its origin is.
    if plan.origin.pool != nil { try activate(image, "y") }
    return outcome.quiet > 0 ? outcome.quiet : nil
  }

  /// A thin snapshot is active only where the kernel has to show it: two devices with the same
  /// file system on them are one too many for a mount by UUID.
  ///
  /// - Parameter state: "y" or "n".
  func activate(_ image: UniqueIdentifier, _ state: String) throws(StackError) {
    try LVMCommand.change([
      "lvchange", "--yes", "--activate", state, "--ignoreactivationskip",
      "\(plan.origin.group)/\(SnapshotPlan.name(of: image))",
    ])
  }

  /// lvm2 is told names, which may have been given to others meanwhile.
  private func requireSnapshot(_ name: String) throws(StackError) {
    let row = try LVMCommand.report(
      "lvs", ["origin_uuid", "lv_tags"], where: "vg_uuid=\(plan.origin.groupID) && lv_name=\(name)"
    ).first
    guard let row, row[0] == plan.origin.id, row[1].split(separator: ",").contains("floe") else {
      throw StackError(
        .inUse,
        "the snapshot \(plan.origin.group)/\(name) is not of the volume that is mounted, as volumes "
          + "were renamed while it was made, so it is removed: try again")
    }
  }
}
