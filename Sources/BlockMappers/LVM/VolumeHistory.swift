import DataSets
import FrozenImage
import VolumeLayers

/// What became of a logical volume's extents, as the texts tell that its group had one
/// after the other: the older ones in the rings of the metadata areas, and those that
/// lvm2 kept on this host.
struct VolumeHistory: LayerHistory {
  let group: VolumeGroup
  let volume: LogicalVolume
  /// What else a change of the group may tell of.
  private let guards: (@Sendable (VolumeGroup) -> String?)?
  /// Areas with the newest text.
  private let areas: [(layer: Layer, area: MetadataArea)]
  /// `nil` where what this host kept tells nothing of the group.
  private let archive: MetadataArchive?

  init(
    of volume: LogicalVolume, in found: FoundVolumeGroup,
    guards: (@Sendable (VolumeGroup) -> String?)? = nil
  ) {
    group = found.group
    self.volume = volume
    self.guards = guards
    archive = found.hasArchive ? MetadataArchive() : nil
    areas = found.group.members.compactMap { found.volume($0) }.flatMap { volume in
      volume.areas.map { (volume.layer, $0) }
    }.filter { $0.1.group?.sequenceNumber == found.group.sequenceNumber }
  }

  /// The present state.
  var state: LayerState {
    areas.first?.area.commit?.state
      ?? LayerState(number: group.sequenceNumber, checksum: nil)
  }

  private var title: String { "\(group.name)/\(volume.name)" }

  func departure(since known: LayerState, frozen: Int64) throws(StackError) -> String? {
    func isKnown(_ state: LayerState) -> Bool {
      state.number == known.number && known.checksum != nil && state.checksum == known.checksum
    }
    let changes = group.sequenceNumber.subtractingReportingOverflow(known.number)
    var longest: [VolumeGroup] = []
    for (layer, area) in areas {
      guard let present = area.commit else { continue }
      let commits =
        [present]
        + (try area.earlierCommits(
          on: layer, count: changes.overflow ? .max : changes.partialValue, until: isKnown))
      // A state without a checksum is the oldest of its number.
      let last = commits.lastIndex {
        known.checksum == nil ? $0.state.number == known.number : isKnown($0.state)
      }
      if let last {
        return departure(in: commits[...last].reversed().map(\.group))
      }
      if commits.count > longest.count {
        longest = commits.map(\.group)
      }
    }
    return try departure(since: known, frozen: frozen, in: longest.reversed())
  }

  /// What the archive tells of the time before the texts of a ring.
  private func departure(
    since known: LayerState, frozen: Int64, in texts: [VolumeGroup]
  ) throws(StackError) -> String? {
    guard let archive else {
      // Whoever has the archive may know.
      throw StackError(.failed, unknown("change \(known.number)"))
    }
    guard let oldest = texts.first, known.number < oldest.sequenceNumber else {
      return unknown("change \(known.number)")
    }
    let numbers = known.number..<oldest.sequenceNumber
    let kept = archive.texts(of: group.id, numbers: numbers, since: frozen)
    var all: [VolumeGroup] = []
    for number in numbers {
      guard let found = kept[number], found.count == 1, let text = found.first else {
        return unknown("change \(number)")
      }
      all.append(text)
    }
    return departure(in: all + texts)
  }

  private func unknown(_ change: String) -> String {
    "no text of the volume group \(group.name) is left that tells of \(change), so nobody knows "
      + "whether extents of the logical volume \(title) were given to another since"
  }

  /// - Parameter texts: in the order of their commits; the first is what is known.
  private func departure(in texts: [VolumeGroup]) -> String? {
    guard let first = texts.first, var places = ExtentPlaces(of: volume.id, in: first) else {
      return unknown("the logical volume")
    }
    let count = places.count
    for text in texts.dropFirst() {
      guard let next = ExtentPlaces(of: volume.id, in: text) else {
        return
          "the logical volume \(title) was removed by change \(text.sequenceNumber) of its group"
      }
      if let departure = guards?(text) { return departure }
      if let extent = next.firstDeparture(from: places, count: count) {
        return
          "extent \(extent) of the logical volume \(title) left it by change "
          + "\(text.sequenceNumber) of its group, so another may have written there since"
      }
      if let volume = text.logicalVolumes.first(where: { $0.id == volume.id }),
        text.snapshots.contains(where: { $0.origin == volume.name && $0.isMerging })
      {
        return "the logical volume \(title) took back a snapshot by change \(text.sequenceNumber)"
      }
      places = next
    }
    return nil
  }
}
