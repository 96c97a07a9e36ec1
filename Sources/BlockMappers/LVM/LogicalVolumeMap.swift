package import DataSets
import FrozenImage
package import VolumeLayers

extension FoundVolumeGroup {
  /// Maps a logical volume to the physical volumes that it lies on.
  ///
  /// Which metadata areas are its witness: *all* that are in use, on every physical
  /// volume of the group that was found. lvm2 gives an extent to somebody else only by a
  /// commit, which writes to every area in use that can be written (`_vg_commit_mdas`,
  /// lib/metadata/metadata.c), and counts as done when one of them could. So the area on
  /// the volume whose extents move may be the one that was not written, and the change
  /// shows in the others alone. An area that is ignored is left out: taking one into use
  /// is a commit to those that were in use.
  ///
  /// One limit: with `issue_discards = 1` (lvm.conf(5); not the default) lvm2 discards the
  /// extents of a volume that is removed or reduced *before* it commits that.
  ///
  /// - Throws: `StackError` when the metadata are at odds with each other, a physical
  ///   volume is missing or there twice, or a segment is of a type that floe does not map.
  package func map(_ volume: LogicalVolume) throws(StackError) -> LayerMap {
    try checkMappable()
    // The store of a thick snapshot looks like any volume.
    if let snapshot = group.snapshot(storedIn: volume) {
      return try map(snapshot, store: volume)
    }
    if case .thin(let thin)? = volume.segments.first?.layout, volume.segments.count == 1 {
      return try map(thin, of: volume)
    }
    try checkMerges(into: volume)
    return try mapPlainly(volume)
  }

  /// An origin that takes a snapshot back changes below.
  func checkMerges(into volume: LogicalVolume) throws(StackError) {
    for snapshot in group.snapshots where snapshot.origin == volume.name && snapshot.isMerging {
      throw StackError(
        .inUse,
        "the logical volume \(group.name)/\(volume.name) takes back its snapshot "
          + "\(group.name)/\(snapshot.store), so floe cannot map it before that has ended")
    }
  }

  /// Maps a volume's own extents, whatever they are a part of.
  ///
  /// - Parameters:
  ///   - title: what people know it as; `nil` for the name of the logical volume.
  ///   - guards: why what the volume is a part of may hold something else since a change of
  ///     the group; `nil` when it is what it was.
  func mapPlainly(
    _ volume: LogicalVolume, title: String? = nil,
    guards: (@Sendable (VolumeGroup) -> String?)? = nil
  ) throws(StackError) -> LayerMap {
    var mapping = LogicalVolumeMapping(found: self)
    return try mapping.map(
      volume, title: title, history: VolumeHistory(of: volume, in: self, guards: guards))
  }
}
