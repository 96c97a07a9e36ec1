import DataSets
import FrozenImage

/// What the superblock of one member tells of its array.
struct RaidMemberState: Hashable, Sendable {
  /// Grows when the superblocks are written; those of members that are in use are written
  /// together.
  let events: UInt64
  /// Members that it calls failed or not there, by their places.
  let failed: Set<Int>
  /// Whether all of this member's bytes were brought up to date.
  var isRecovered: Bool
  /// Whether the copies, or the parity, were brought in step once since they were made. md's
  /// own superblocks tell of an unclean stop too; those of dm-raid do not.
  let isSynced: Bool
  /// Whether writes are acknowledged before they reach the member, or may be.
  var isWriteMostly = false
  /// Whether parts of it could not be written.
  var hasBadBlocks = false
  /// Whether lvm2 split it off, to be merged again later.
  var isSplitOff = false
  /// Whether the kernel of this host, which has the array active, counts it as in sync; `nil`
  /// where it has not.
  var isInSyncHere: Bool?

  /// Whether others went on without it. A crash between two superblocks leaves one behind; md
  /// takes it all the same (`super_1_validate`).
  func isOutOfDate(newest: UInt64) -> Bool { events < newest && newest - events > 1 }
}

/// The members of an array, as their superblocks show them together.
///
/// md writes that a member failed to all others before it accepts a later write
/// (`MD_SB_CHANGE_PENDING`; raid1.c and raid10.c hold back the write that failed as well, in
/// `bio_end_io_list`, but not one that was under way when the member had failed already). So a
/// member has all that was acknowledged before when no superblock of the newest calls it
/// failed, and its own is one of these.
struct RaidMembers: Sendable {
  /// For messages: "logical volume vg/root".
  let title: String
  /// What people call members: "leg" or "member".
  let noun: String
  /// By their places; `nil` for one that is not there, or has no superblock.
  let states: [RaidMemberState?]

  /// Why a member must not be read; `nil` when it may.
  private func problem(of place: Int, newest: UInt64) -> String? {
    guard let state = states[place] else { return "is missing" }
    let current = states.compactMap { $0 }.filter { $0.events == newest }
    if current.contains(where: { $0.failed.contains(place) }) { return "has failed" }
    if state.isOutOfDate(newest: newest) { return "is out of date" }
    if state.isSplitOff { return "was split off" }
    if state.isInSyncHere == false { return "is not in sync, as the kernel has it" }
    if !state.isRecovered { return "is being rebuilt" }
    if state.isWriteMostly { return "is marked write-mostly" }
    if state.hasBadBlocks { return "has bad blocks" }
    return nil
  }

  /// Which members may be read.
  ///
  /// - Parameter needsSync: whether the array keeps bytes more than once, so that copies that
  ///   were never brought in step may differ.
  /// - Throws: `StackError` when nothing proves that any is up to date.
  func readable(needsSync: Bool) throws(StackError) -> [Bool] {
    guard let newest = states.compactMap({ $0?.events }).max() else {
      throw StackError(
        .medium,
        "no \(noun) of the \(title) has a superblock of its raid, so nothing shows which is in sync: "
          + "it was never in use, or is not complete")
    }
    let current = states.compactMap { $0 }.filter { $0.events == newest }
    for (place, state) in states.enumerated() {
      // One that lags behind may be a member of before, whose place another has by now.
      if state.map({ $0.isOutOfDate(newest: newest) }) ?? true,
        !current.allSatisfy({ $0.failed.contains(place) })
      {
        throw StackError(
          .medium,
          "\(noun) \(place) of the \(title) is \(state == nil ? "missing" : "out of date"), and the "
            + "others do not say that it failed, so nothing shows that they are up to date")
      }
      // Two halves that each went on without the other.
      if let state, state.events < newest,
        states.indices.contains(where: { other in
          states[other]?.events == newest && state.failed.contains(other)
        })
      {
        throw StackError(
          .medium,
          "the \(noun)s of the \(title) were written each without the other, and call each other "
            + "failed: nothing shows which holds the data")
      }
    }
    if needsSync, !current.allSatisfy(\.isSynced) {
      throw StackError(
        .inUse,
        "the \(noun)s of the \(title) are not in sync (being synchronised, or in use and not "
          + "clean): freeze it when they are, as lvs -o sync_percent or /proc/mdstat shows")
    }
    return states.indices.map { problem(of: $0, newest: newest) == nil }
  }

  /// What keeps the array from being read: each member that must not be, and why.
  var problems: String {
    guard let newest = states.compactMap({ $0?.events }).max() else { return "nothing is known" }
    return states.indices.compactMap { place in
      problem(of: place, newest: newest).map { "\(noun) \(place) \($0)" }
    }.joined(separator: ", ")
  }
}
