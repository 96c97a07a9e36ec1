import DataSets
import FrozenImage
import VolumeLayers

// Arrays of md below logical volumes (dm-raid): their legs, as the superblocks in the metadata
// volumes tell of them.

extension LogicalVolumeMapping {
  /// Where the bytes of a raid lie: on the legs that the superblocks prove up to date.
  ///
  /// The superblocks are the witness: a leg that fails is written to those of all others
  /// before a later write is accepted.
  ///
  /// - Throws: `StackError` when nothing proves where the data are.
  mutating func placement(
    of raid: LogicalVolume.Raid, in segment: LogicalVolume.Segment, of volume: LogicalVolume,
    _ extents: inout Extents
  ) throws(StackError) -> Placement<LayerAddress> {
    let title = title(of: volume)
    guard volume.segments.count == 1, nesting.count < 4 else {
      throw StackError(.unsupported, "the \(title) is a raid of several segments")
    }
    var images: [Layer?] = []
    var superblocks: [RaidSuperblock?] = []
    for (index, metadata) in raid.metadata.enumerated() {
      images.append(try leg(raid.images[index], of: volume))
      guard let layer = try leg(metadata, of: volume), layer.size >= RaidSuperblock.length else {
        superblocks.append(nil)
        continue
      }
      extents.witness.append(
        ProbeWindow(layer: extents.index(of: layer), offset: 0, length: RaidSuperblock.length))
      // One that cannot be read is as good as none.
      let bytes = try? layer.bytes(at: 0, count: RaidSuperblock.length)
      superblocks.append(bytes.flatMap(RaidSuperblock.init))
    }
    let legsHere = try legsInSync(of: volume, count: images.count)
    let members = RaidMembers(
      title: title, noun: "leg",
      states: superblocks.enumerated().map { index, superblock -> RaidMemberState? in
        guard images[index] != nil, var state = superblock?.state else { return nil }
        let status = group.logicalVolume(raid.images[index])?.status ?? []
        state.isWriteMostly = status.contains("WRITEMOSTLY")
        if status.contains("REBUILD") { state.isRecovered = false }
        // lvconvert --splitmirrors --trackchanges shows a leg, and takes its permission.
        state.isSplitOff = status.contains("VISIBLE") || !status.contains("WRITE")
        state.isInSyncHere = legsHere?[index]
        return state
      })
    let geometry = try geometry(of: superblocks, title, segment)
    if geometry.isMirrored, volume.status.contains("NOTSYNCED") {
      throw StackError(
        .unsupported,
        "the legs of the \(title) were never brought in sync (--nosync), so they may differ where "
          + "nothing was written: lvchange --resync \(group.name)/\(volume.name) does that")
    }
    let readable = try members.readable(needsSync: geometry.isMirrored)
    let starts = images.enumerated().map { index, layer -> LayerAddress? in
      guard let layer, readable[index] else { return nil }
      return LayerAddress(layer: extents.index(of: layer), offset: 0)
    }
    guard let placement = geometry.placement(of: starts) else {
      throw StackError(
        .medium,
        "the \(title) is not complete, and only the kernel can work out what is missing: "
          + members.problems)
    }
    return placement
  }

  /// Which legs the kernel counts as in sync, where this host commits to the group and has the
  /// volume active; else `nil`.
  ///
  /// A volume that was activated with a leg missing has that in no superblock before one is
  /// written, and the leg may be back meanwhile: until then only the kernel knows.
  ///
  /// - Throws: `StackError` when the kernel does not tell.
  private func legsInSync(
    of volume: LogicalVolume, count: Int
  ) throws(StackError) -> [Bool]? {
    guard found.hasArchive, let legs = try found.activeRaids.legsInSync(of: volume, in: group)
    else { return nil }
    guard legs.count == count else {
      throw StackError(
        .inUse,
        "the kernel has \(legs.count) legs of the \(title(of: volume)), and the metadata \(count): "
          + "it is being changed")
    }
    return legs
  }

  /// A leg's part; `nil` when it lies on a physical volume that is missing, or lvm2 took that
  /// out of the group and left nothing in its place (`vgreduce --removemissing`).
  private mutating func leg(
    _ name: String, of volume: LogicalVolume
  ) throws(StackError) -> Layer? {
    guard let part = group.logicalVolume(name) else {
      throw StackError(
        .malformed, "the \(title(of: volume)) has a leg \(name) that the metadata do not describe")
    }
    if part.segments.contains(where: { $0.type == "error" }) { return nil }
    do throws(StackError) {
      return try layer(of: part)
    } catch {
      guard error.code == .medium else { throw error }
      return nil
    }
  }

  /// How the legs are laid out, as all superblocks and the type have it.
  private func geometry(
    of superblocks: [RaidSuperblock?], _ title: String, _ segment: LogicalVolume.Segment
  ) throws(StackError) -> RaidGeometry {
    let known = superblocks.compactMap { $0 }
    guard let newest = known.max(by: { $0.state.events < $1.state.events }) else {
      throw StackError(
        .medium,
        "the \(title) has no superblock of its raid, so nothing shows which leg is in sync: the "
          + "kernel writes them when the volume is activated first")
    }
    // A leg of before tells of the raid as it was then.
    func isCurrent(_ superblock: RaidSuperblock) -> Bool {
      !superblock.state.isOutOfDate(newest: newest.state.events)
    }
    if let obstacle = known.lazy.filter(isCurrent).compactMap(\.obstacle).first {
      throw StackError(.unsupported, "the raid of the \(title) \(obstacle)")
    }
    let type = RaidSuperblock.layout(ofType: segment.type)
    guard
      superblocks.enumerated().allSatisfy({ index, superblock in
        guard let superblock, isCurrent(superblock) else { return true }
        return superblock.place == index && superblock.members == superblocks.count
          && superblock.level == newest.level && superblock.layout == newest.layout
          && superblock.stripeSectors == newest.stripeSectors
      }), newest.level == type?.level, type?.layout ?? newest.layout == newest.layout
    else {
      throw StackError(
        .malformed,
        "the superblocks of the raid of the \(title) are at odds with each other, or with its type "
          + segment.type)
    }
    return try RaidGeometry(
      level: newest.level, layout: newest.layout, members: superblocks.count,
      chunkSectors: newest.stripeSectors, title: title)
  }
}
