import DataSets
import FrozenImage
import VolumeLayers

extension FoundVolumeGroup {
  /// Maps a thick snapshot: its chunks lie in its own store or in its origin, and both of
  /// these in this group.
  ///
  /// Only a snapshot that cannot be written is frozen: a chunk that was copied already is
  /// overwritten in place, which no witness shows.
  ///
  /// - Throws: `StackError` when it may be written, is being merged or overflowed, all of which
  ///   end an image of it for good; or when its store or its origin cannot be mapped.
  func map(_ snapshot: LogicalVolume.Snapshot, store: LogicalVolume) throws(StackError) -> LayerMap
  {
    let name = "\(group.name)/\(store.name)"
    let title = "logical volume \(name)"
    guard !snapshot.isMerging else {
      throw .gone(
        "the \(title) is a snapshot that its origin \(group.name)/\(snapshot.origin) takes back, so "
          + "floe cannot map it", atFreeze: .unsupported)
    }
    guard !store.status.contains("WRITE") else {
      throw .gone(
        "the \(title) is a snapshot that may be written, so it is not frozen: make it read-only "
          + "(lvchange -pr \(name)), or make one that is (lvcreate -s -pr)", atFreeze: .inUse)
    }
    guard let origin = group.logicalVolume(snapshot.origin), origin.name != store.name else {
      throw StackError(.malformed, "the metadata do not describe the origin of the \(title)")
    }
    let extents = group.extentCount(ofSnapshotIn: store.name) ?? origin.extentCount
    guard extents <= origin.extentCount else {
      throw StackError(
        .malformed, "the \(title) is larger than its origin \(group.name)/\(origin.name)")
    }
    try checkMerges(into: origin)
    return try SnapshotRuns(
      SnapshotRuns.Description(
        title: title, name: name, size: extents * group.extentSize,
        origin: Layer(try mapPlainly(origin, title: "origin \(group.name)/\(origin.name)")),
        store: Layer(
          try mapPlainly(
            store, title: "store of \(name)",
            guards: { Self.departure(ofSnapshotIn: store, in: $0) })))
    ).map()
  }
}

extension VolumeGroup {
  /// The snapshot that has its store in a volume; `nil` when it is none's.
  func snapshot(storedIn volume: LogicalVolume) -> LogicalVolume.Snapshot? {
    snapshots.first { $0.store == volume.name }
  }

  /// Extents that a snapshot shows: those that its origin had when it was made.
  fileprivate func extentCount(ofSnapshotIn store: String) -> UInt64? {
    logicalVolumes.first { volume in
      volume.segments.contains { segment in
        if case .snapshot(let snapshot) = segment.layout { snapshot.store == store } else { false }
      }
    }?.extentCount
  }
}

extension FoundVolumeGroup {
  /// Why a snapshot that has its store in a volume may hold something else since a change of
  /// its group; `nil` when it is what it was.
  private static func departure(
    ofSnapshotIn store: LogicalVolume, in text: VolumeGroup
  ) -> String? {
    let title = "\(text.name)/\(store.name)"
    guard let now = text.logicalVolumes.first(where: { $0.id == store.id }),
      let snapshot = text.snapshot(storedIn: now)
    else {
      return "the snapshot \(title) was removed by change \(text.sequenceNumber) of its group"
    }
    if snapshot.isMerging {
      return "the snapshot \(title) was merged into its origin by change \(text.sequenceNumber)"
    }
    if now.status.contains("WRITE") {
      return
        "the snapshot \(title) could be written since change \(text.sequenceNumber) of its group"
    }
    return nil
  }
}
