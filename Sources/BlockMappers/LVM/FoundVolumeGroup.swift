import DataSets
import FrozenImage
import VolumeLayers

/// A volume group and the physical volumes that were found of it.
package struct FoundVolumeGroup: Sendable {
  /// As the newest committed metadata describe it.
  package let group: VolumeGroup
  /// Those found, by identifier. More than one is a volume and its clones, or one
  /// device that was found under several paths.
  private let found: [VolumeIdentifier: [PhysicalVolume]]
  /// Volumes with metadata older than the newest. A commit writes area after area, so
  /// one is running, or a crash or a failed device cut it short. lvm2 takes the newest
  /// too, and brings the others up to it with a later commit.
  package let behind: [PhysicalVolume]
  /// What is wrong with the metadata as a whole: no mapping is given then.
  private let conflict: StackError?
  /// Whether the texts that lvm2 kept on this host tell of the group.
  let hasArchive: Bool
  /// What this host's kernel tells of raids, where the former holds.
  let activeRaids: ActiveRaids

  /// Sorts physical volumes into groups.
  ///
  /// Volumes that belong to none are left out, as are those that the newest metadata of
  /// their group no longer count as theirs.
  ///
  /// - Parameters:
  ///   - hasArchive: whether this host is the one whose lvm2 commits to the groups; what another
  ///     host's lvm2 kept may be of a clone.
  ///   - activeRaids: asked about legs where the former holds.
  package static func groups(
    of volumes: [PhysicalVolume], hasArchive: Bool = true, activeRaids: ActiveRaids = ActiveRaids()
  ) -> [FoundVolumeGroup] {
    var texts: [VolumeIdentifier: [VolumeGroup]] = [:]
    var order: [VolumeIdentifier] = []
    for volume in volumes {
      for group in volume.areas.compactMap(\.group) {
        // A text counts only where it counts the volume that it lies on.
        guard group.members.contains(where: { $0.id == volume.id }) else { continue }
        if texts[group.id] == nil { order.append(group.id) }
        texts[group.id, default: []].append(group)
      }
    }
    return order.compactMap { id in
      texts[id].flatMap { Self(texts: $0, volumes: volumes, hasArchive, activeRaids) }
    }
  }

  /// - Parameter texts: all of one group.
  private init?(
    texts: [VolumeGroup], volumes: [PhysicalVolume], _ hasArchive: Bool, _ activeRaids: ActiveRaids
  ) {
    self.hasArchive = hasArchive
    self.activeRaids = activeRaids
    guard let newest = texts.max(by: { $0.sequenceNumber < $1.sequenceNumber }) else {
      return nil
    }
    let ids = Set(newest.members.map(\.id))
    let members = volumes.filter { ids.contains($0.id) }
    group = newest
    found = Dictionary(grouping: members, by: \.id)
    behind = members.filter { volume in
      volume.areas.contains { area in
        !area.isIgnored && (area.group?.sequenceNumber ?? 0) < newest.sequenceNumber
      }
    }
    let stranger = members.lazy.flatMap { volume in
      volume.areas.compactMap { area in area.group.map { (volume, $0) } }
    }.first { $1.id != newest.id }
    let differs = texts.contains { $0.sequenceNumber == newest.sequenceNumber && $0 != newest }
    if let (volume, other) = stranger {
      conflict = StackError(
        .malformed,
        "the volume group \(newest.name) counts \(volume.layer.title) as its own, but that "
          + "says it belongs to \(other.name)")
    } else if differs {
      conflict = StackError(
        .malformed,
        "the metadata of the volume group \(newest.name) differ from one physical volume to the "
          + "other, with the same sequence number \(newest.sequenceNumber)")
    } else {
      conflict = nil
    }
  }

  /// The logical volumes that are no internal parts of others. Metadata hide the store
  /// of a snapshot, which people know as the snapshot, and a thin snapshot that its origin
  /// takes back (`init_snapshot_merge` in lvm2's lib/metadata/snapshot_manip.c).
  var logicalVolumes: [LogicalVolume] {
    let stores = Set(group.snapshots.map(\.store))
    return group.logicalVolumes.filter {
      $0.isVisible || stores.contains($0.name) || $0.isMergingThin
    }
  }

  /// Throws what stands in the way of mapping anything in this group.
  func checkMappable() throws(StackError) {
    if let conflict { throw conflict }
    let known: Set = [
      "RESIZEABLE", "READ", "WRITE", "PVMOVE", "CLUSTERED", "SHARED", "NOAUTOACTIVATE",
    ]
    if group.status.contains("EXPORTED") {
      throw StackError(.inUse, "the volume group \(group.name) is exported (vgexport)")
    }
    if let status = group.status.first(where: { !known.contains($0) }) {
      throw StackError(
        .unsupported,
        "the volume group \(group.name) has a status that floe does not know: \(status)")
    }
    for member in group.members {
      guard let copies = found[member.id], copies.count > 1 else { continue }
      let titles = copies.map(\.layer.title).joined(separator: " and ")
      throw StackError(
        .malformed,
        "the physical volume \(member.id) of the volume group \(group.name) appears "
          + "\(copies.count) times, as \(titles)")
    }
  }

  /// The physical volume that holds a member; `nil` when it was not found.
  func volume(_ member: VolumeGroup.Member) -> PhysicalVolume? { found[member.id]?.first }
}
