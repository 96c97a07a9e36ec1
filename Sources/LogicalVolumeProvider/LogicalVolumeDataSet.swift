import BlockMappers
package import DataSets
import FrozenImage
import HostSystem
import LogicalRepresentation
import StackProvider
import VolumeLayers

/// Mounted ext2/3/4 and XFS on logical volumes: floe has lvm2 make a snapshot.
package enum MountedLogicalVolumes: DataSetProvider {
  package static var record: any ProviderRecord.Type { LogicalVolumeRecord.self }

  package static func find(_ named: NamedData, _ options: SearchOptions) throws -> (any DataSet)? {
    guard named.kind == .directory, named.selectors.isEmpty, !options.assumesFrozen,
      !options.prefersReflinks, let volume = try MountedVolume(named.path)
    else {
      guard options.snapshotSize == nil, !options.extendsSnapshot else {
        throw StackError(
          .invalid,
          "\(options.extendsSnapshot ? "--extend" : "--snapshot-size") is for a directory of a file system "
            + "on a logical volume")
      }
      return nil
    }
    guard volume.isWritable else {
      // One that rests is taken as it is, unless that is a snapshot: it is its layers that move.
      guard try StackFinder.layer(ofDevice: volume.device).isSnapshot else { return nil }
      try volume.requireTop(named.path)
      return try VolumeStacks.find(NamedData(volume.device), options)
    }
    try volume.requireTop(named.path)
    return try LogicalVolumeDataSet(volume, options)
  }
}

/// A file system on a logical volume, mounted for writing.
private struct LogicalVolumeDataSet: DataSet {
  private let volume: MountedVolume
  private let content: MountedContent
  private let plan: SnapshotPlan
  private let quietLimit: UInt64
  private let extends: Bool

  init(_ volume: MountedVolume, _ options: SearchOptions) throws {
    self.volume = volume
    guard let content = try MountedContent(of: volume.device, type: volume.type) else {
      throw StackError(.unsupported, "\(volume.mountpoint) is a \(volume.type)")
    }
    self.content = content
    let origin = try OriginVolume(volume.id, device: volume.number)
    try origin.requireReadable(at: volume.device)
    plan = try SnapshotPlan(
      of: origin, size: options.snapshotSize, hasReflinks: content.hasReflinks)
    quietLimit = options.quietLimit
    extends = options.extendsSnapshot
    guard !extends || origin.pool == nil else {
      throw StackError(
        .invalid,
        "\(origin.title) is a thin volume, whose snapshot takes its room from the pool: leave --extend "
          + "out, and let lvm2 extend that (thin_pool_autoextend_threshold in lvm.conf)")
    }
  }

  var remarks: [String] {
    let below = volume.mountedBelow
    guard let first = below.first else { return [plan.remark] }
    let others = below.count > 1 ? " and \(below.count - 1) more" : ""
    return [
      plan.remark,
      "what is mounted below \(volume.mountpoint) (\(first)\(others)) is not in the image: freeze it "
        + "by itself",
    ]
  }

  var explanation: [String] {
    let kind = plan.size == nil ? "a thin snapshot" : "a snapshot"
    return [
      "\(kind) of the logical volume \(plan.origin.title), which is mounted at "
        + "\(volume.mountpoint) (\(volume.type)), is made as \(plan.origin.group)/floe-UUID"
    ]
  }

  let leavesSomething = true

  let needsService = false

  func plan(for image: UniqueIdentifier) -> any ProviderRecord { record(of: image, found: nil) }

  private func record(
    of image: UniqueIdentifier, found: StackFreezer.Image?
  ) -> LogicalVolumeRecord {
    LogicalVolumeRecord(
      groupID: plan.origin.groupID, group: plan.origin.group, name: SnapshotPlan.name(of: image),
      pool: plan.origin.pool, origin: plan.origin.id, extends: extends,
      quietLimit: quietLimit, image: found)
  }

  func freeze(as image: UniqueIdentifier) throws -> any FrozenDataSet {
    let maker = SnapshotMaker(volume: volume, plan: plan, quietLimit: quietLimit)
    do {
      let quiet = try maker.make(image)
      // By its group: as long as lvm2 finds that, the snapshot need not be active.
      let place = StackPlace(
        start: .volumeGroup(plan.origin.groupID), selectors: [SnapshotPlan.name(of: image)],
        physicalVolumes: [], content: content.content, assumesFrozen: false, wasQuiet: true)
      let freezer = try StackFreezer(place)
      guard freezer.contentID == content.id else {
        throw StackError(
          .inUse,
          "the snapshot of \(plan.origin.title) does not hold the file system that is mounted at "
            + "\(volume.mountpoint), so it is removed: freeze it again")
      }
      // The kernel shows the files of an XFS.
      let isNeeded = plan.origin.pool == nil || content.content == .xfs
      return FrozenLogicalVolume(
        freezer: freezer, record: record(of: image, found: try freezer.image()), quietTime: quiet
      ) {
        if !isNeeded { try? maker.activate(image, "n") }
      }
    } catch {
      try? plan(for: image).release()
      throw error
    }
  }
}

/// A snapshot that was made.
private struct FrozenLogicalVolume: FrozenDataSet {
  let freezer: StackFreezer
  let record: any ProviderRecord
  let quietTime: UInt64?
  /// Called when the snapshot was described.
  let rest: @Sendable () -> Void

  func describe(
    _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription] {
    let media = try freezer.describe(label, scratch: scratch, progress: progress)
    rest()
    return media
  }
}
