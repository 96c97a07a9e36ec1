import DataSets
import FrozenImage
import HostSystem

/// Gives a snapshot that has its own room more of it when it fills up, as lvm2's own policy
/// would (lvm.conf(5): snapshot_autoextend_threshold and snapshot_autoextend_percent).
struct SnapshotGrowth {
  let groupID: String
  /// The snapshot's.
  let name: String
  /// Seconds after which an origin that stands still is set going, whatever lvextend does.
  let quietLimit: UInt64

  /// Percent from which on it grows.
  private static let threshold = SnapshotFill.levels[0]

  private static let columns = [
    "vg_name", "lv_size", "vg_free", "vg_extent_size", "data_percent", "origin_uuid",
  ]

  /// - Returns: what was done; `nil` when it has room still, or overflowed already.
  /// - Throws: `StackError` when the group has no room, or lvm2 does not extend it.
  func run() throws(StackError) -> String? {
    let row = try LVMCommand.report(
      "lvs", Self.columns, where: "vg_uuid=\(groupID) && lv_name=\(name)"
    ).first
    guard let row, let percent = Double(row[4]), (Self.threshold..<100).contains(percent)
    else { return nil }
    guard let size = UInt64(row[1]), let free = UInt64(row[2]), let extent = UInt64(row[3]) else {
      throw StackError(.malformed, "lvs reports the sizes of \(row[0])/\(name) as no numbers")
    }
    let title = "\(row[0])/\(name)"
    // Others grow by themselves, thin pools above all.
    guard let more = Self.room(beside: size, free: free - free / 10, extent: extent) else {
      throw StackError(
        .noRoom,
        "the volume group \(row[0]) has no room left for the snapshot \(title): add a disk "
          + "(vgextend)")
    }
    guard let origin = try SnapshotRemoval.device(of: row[5], in: groupID) else {
      throw StackError(.notFound, "the origin of the snapshot \(title) is not active")
    }
    // The origin stands still meanwhile.
    let outcome = try GuardedCommand(
      words: ["lvextend", "--yes", "--size", "+\(more)b", title], device: origin,
      quietLimit: quietLimit
    ).run()
    guard outcome.status == 0, !outcome.wasForced else {
      // The kernel may use the larger table already, of which the metadata know nothing: lvm2
      // loads the one of the metadata.
      let refreshed = try GuardedCommand(
        words: ["lvchange", "--refresh", title], device: origin, quietLimit: quietLimit
      ).run()
      throw StackError(
        .failed,
        "lvextend failed or took too long (\(outcome.status)): \(outcome.output)"
          + (refreshed.status == 0
            ? "" : "; run lvchange --refresh \(title), which failed as well: \(refreshed.output)"))
    }
    return "the snapshot \(title) was full to \(Int(percent)) % and was extended by "
      + SnapshotPlan.text(of: more)
  }

  /// Bytes by which it grows: a fifth of its size, in whole extents, as far as there is room.
  ///
  /// - Returns: `nil` when there is none.
  static func room(beside size: UInt64, free: UInt64, extent: UInt64) -> UInt64? {
    guard extent > 0 else { return nil }
    let fifth = size / 5
    let wanted = fifth / extent + (fifth.isMultiple(of: extent) ? 0 : 1)
    let extents = min(max(wanted, 1), free / extent)
    return extents > 0 ? extents * extent : nil
  }
}
