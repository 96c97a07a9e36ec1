import DataSets
import FrozenImage
import VolumeLayers

extension FoundVolumeGroup {
  /// Maps a thin volume: its chunks lie in the data of its pool, as the pool's own metadata
  /// tell, and both of these in this group.
  ///
  /// Only a volume that cannot be written is frozen: of one that can, chunks that nobody
  /// shares are overwritten in place, which no witness shows.
  ///
  /// - Throws: `StackError` when it may be written or is being merged, which end an image of it
  ///   for good; when the rest of it is outside of the pool, or when its pool cannot be read.
  func map(_ thin: LogicalVolume.Thin, of volume: LogicalVolume) throws(StackError) -> LayerMap {
    let name = "\(group.name)/\(volume.name)"
    let title = "logical volume \(name)"
    if thin.isMerging {
      throw .gone(
        "the \(title) is a thin snapshot that its origin takes back, so floe cannot map it",
        atFreeze: .unsupported)
    }
    guard !volume.status.contains("WRITE") else {
      throw .gone(
        "the \(title) is a thin volume that may be written, so it is not frozen: make a read-only "
          + "snapshot of it (lvcreate -s -pr -kn) and freeze that", atFreeze: .inUse)
    }
    if let origin = thin.externalOrigin {
      throw StackError(
        .unsupported,
        "the \(title) has an external origin, \(group.name)/\(origin), which holds the rest of it: "
          + "floe cannot map that")
    }
    guard let holder = group.logicalVolume(thin.pool),
      case .thinPool(let pool)? = holder.segments.first?.layout, holder.segments.count == 1,
      let data = group.logicalVolume(pool.data), let metadata = group.logicalVolume(pool.metadata)
    else {
      throw StackError(.malformed, "the metadata do not describe the thin pool of the \(title)")
    }
    let poolName = "\(group.name)/\(holder.name)"
    let guards: @Sendable (VolumeGroup) -> String? = { Self.departure(of: volume, thin, in: $0) }
    return try ThinRuns(
      ThinRuns.Description(
        title: title, pool: "thin pool \(poolName)", size: volume.size, device: thin.device,
        chunkSize: pool.chunkSize,
        data: Layer(try mapPlainly(data, title: "data of thin pool \(poolName)", guards: guards)),
        metadata: Layer(
          try mapPlainly(metadata, title: "metadata of thin pool \(poolName)", guards: guards)))
    ).map()
  }

  /// Why a thin volume may hold something else since a change of its group; `nil` when it
  /// is what it was.
  private static func departure(
    of volume: LogicalVolume, _ thin: LogicalVolume.Thin, in text: VolumeGroup
  ) -> String? {
    let title = "\(text.name)/\(volume.name)"
    let change = "change \(text.sequenceNumber) of its group"
    guard let now = text.logicalVolumes.first(where: { $0.id == volume.id }) else {
      return "the thin volume \(title) was removed by \(change)"
    }
    if now.isMergingThin {
      return "the thin snapshot \(title) was merged into its origin by \(change)"
    }
    guard case .thin(let found)? = now.segments.first?.layout, found.device == thin.device,
      found.pool == thin.pool
    else { return "the thin volume \(title) became another one by \(change)" }
    if now.status.contains("WRITE") {
      return "the thin volume \(title) could be written since \(change)"
    }
    return nil
  }
}
