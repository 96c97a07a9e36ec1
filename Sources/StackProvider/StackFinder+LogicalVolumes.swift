import BlockMappers
import DataSets
import FrozenImage
import VolumeLayers

extension StackFinder {
  /// What the kernel told of the raids below a logical volume, and how it is asked again.
  struct KnownRaids {
    let volume: LogicalVolume
    let group: FoundVolumeGroup
    /// As `raidsNow` gave it.
    let legs: [String: [Bool]]

    /// Whether it is still so.
    var areSo: Bool { group.raidsNow(under: volume) == legs }
  }

  /// A logical volume: the one that is selected, or the only one.
  ///
  /// - Parameters:
  ///   - group: its group's name; `nil` for the group of `known`, or that of `id`.
  ///   - id: the volume's identifier, where the kernel tells it.
  ///   - known: a physical volume that was met on the way up.
  mutating func logicalVolume(
    of group: String?, id: (group: String, volume: String)? = nil, on known: [PhysicalVolume]
  ) throws(StackError) -> Layer {
    let volumes = try physicalVolumes(beside: known)
    let groups = FoundVolumeGroup.groups(of: volumes).filter { found in
      known.allSatisfy { known in found.group.members.contains { $0.id == known.id } }
    }
    if let id {
      // A group that was cloned and imported keeps its volumes' own identifiers.
      for found in groups where "\(found.group.id)" == id.group {
        if let volume = found.group.logicalVolumes.first(where: { "\($0.id)" == id.volume }) {
          return try map(volume, of: found)
        }
      }
      throw StackError(
        .notFound, "the logical volume \(id.volume) is on no physical volume that was found")
    }
    let met = known.isEmpty ? nil : groups.first.map { "\($0.group.id)" }
    let found = try choose(group ?? met, of: volumes)
    let name = selectors.popFirst().map { selector in
      // "vg/root" names the group once more.
      for prefix in ["\(found.group.name)/", "\(found.group.id)/"]
      where selector.hasPrefix(prefix) {
        return String(selector.dropFirst(prefix.count))
      }
      return selector
    }
    do {
      return try map(try found.choose(name), of: found)
    } catch {
      let lost = frozen?.pins.contains { pin in
        pin.hasPrefix("\(found.group.id) ")
          && !found.group.logicalVolumes.contains { pin.hasSuffix(" \($0.id)") }
      }
      guard let name, lost == true else { throw error }
      throw .gone(
        "the logical volume \(found.group.name)/\(name) that was frozen was removed from its group")
    }
  }

  /// The group of a name; where there is none, it may lie on an array that was left out.
  private func choose(
    _ group: String?, of volumes: [PhysicalVolume]
  ) throws(StackError) -> FoundVolumeGroup {
    do throws(StackError) {
      return try FoundVolumeGroup.choose(group, of: volumes)
    } catch {
      guard error.code == .notFound, let array = unprovenArrays.first else { throw error }
      throw StackError(.inUse, "\(error.sentence); \(array)")
    }
  }

  private mutating func map(
    _ volume: LogicalVolume, of found: FoundVolumeGroup
  ) throws(StackError) -> Layer {
    pins.append("\(found.group.id) \(volume.id)")
    for member in found.behind {
      notes.append(
        "the LVM2 metadata on \(member.layer.title) are older than elsewhere in the volume group "
          + "\(found.group.name): a commit did not reach it")
    }
    let known = found.raidsNow(under: volume)
    if !known.isEmpty { raids.append(KnownRaids(volume: volume, group: found, legs: known)) }
    return Layer(try found.map(volume))
  }
}
