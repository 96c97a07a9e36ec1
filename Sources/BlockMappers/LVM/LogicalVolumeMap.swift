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

/// The mapping of one logical volume, while it is made.
private struct LogicalVolumeMapping {
  let found: FoundVolumeGroup
  private var group: VolumeGroup { found.group }
  /// Layers of the parts that are logical volumes themselves, by name.
  private var parts: [String: Layer] = [:]
  /// Members that any part lies on.
  private var used: Set<VolumeIdentifier> = []
  /// The names of the volumes that are being mapped, the outermost first.
  private var nesting: [String] = []

  /// A raid0 whose images lie on physical volumes is two deep.
  private static let maximumNesting = 4
  private static let maximumParts = 1024

  init(found: FoundVolumeGroup) {
    self.found = found
  }

  mutating func map(
    _ volume: LogicalVolume, title: String?, history: VolumeHistory
  ) throws(StackError) -> LayerMap {
    var (lower, runs) = try runs(of: volume)
    var identity: [ProbeWindow] = []
    var witness: [ProbeWindow] = []
    for volume in try watched() {
      var index = lower.firstIndex { $0 === volume.layer }
      if index == nil {
        index = lower.count
        lower.append(volume.layer)
      }
      guard let index else { continue }
      identity.append(volume.identity(as: index))
      witness += volume.witness(as: index)
    }
    return try LayerMap(
      title: title ?? self.title(of: volume), size: volume.size, lower: lower, runs: runs,
      identity: identity,
      witness: witness, moves: true, state: history.state, history: history,
      sectorSize: lower.compactMap(\.sectorSize).max())
  }

  private func title(of volume: LogicalVolume) -> String {
    "logical volume \(group.name)/\(volume.name)"
  }

  /// The volumes that the mapping lies on, and those whose metadata tell of a change.
  private func watched() throws(StackError) -> [PhysicalVolume] {
    var watched: [PhysicalVolume] = []
    var missing: VolumeGroup.Member?
    for member in group.members {
      guard let volume = found.volume(member) else {
        missing = missing ?? member
        continue
      }
      if volume.hasAreaInUse || used.contains(member.id) { watched.append(volume) }
    }
    // A volume that is not there may hold the only area that a commit still reaches. It
    // can be done without only where every volume in use has an area of its own: while
    // that cannot be written the volume counts as missing, and nobody is given its
    // extents.
    for member in group.members where used.contains(member.id) {
      guard let missing, found.volume(member)?.hasAreaInUse == false else { continue }
      throw StackError(
        .medium,
        "the physical volume \(missing.title) of the volume group \(group.name) is missing, and "
          + "\(member.title) has no metadata in use that would show a change without it")
    }
    return watched
  }

  // MARK: Runs

  private mutating func runs(
    of volume: LogicalVolume
  ) throws(StackError) -> (lower: [Layer], runs: [LayerRun]) {
    try check(volume)
    nesting.append(volume.name)
    defer { nesting.removeLast() }
    var lower: [Layer] = []
    var runs: [LayerRun] = []
    for segment in volume.segments {
      guard case .striped(let columns, let elementSize) = segment.layout else {
        throw refusal(of: segment, in: volume)
      }
      let count = segment.extents.upperBound - segment.extents.lowerBound
      let columnCount = count / UInt64(columns.count)
      guard columns.count == 1 || (columnCount * group.extentSize).isMultiple(of: elementSize)
      else {
        throw StackError(
          .malformed, "the \(title(of: volume)) has a \(segment.key) whose stripes are cut short")
      }
      var places: [LayerAddress] = []
      for column in columns {
        let (layer, offset) = try place(of: column, count: columnCount, for: volume, segment)
        var index = lower.firstIndex { $0 === layer }
        if index == nil {
          index = lower.count
          lower.append(layer)
        }
        places.append(LayerAddress(layer: index ?? 0, offset: offset))
      }
      let range =
        segment.extents.lowerBound * group.extentSize..<segment.extents.upperBound
        * group.extentSize
      guard
        let placement = Placement(
          columns: places.count, copies: 1, stripeLength: elementSize, targets: places)
      else {
        throw StackError(
          .malformed, "the \(title(of: volume)) has a \(segment.key) that has no stripes")
      }
      runs.append(LayerRun(range, .below(placement)))
    }
    return (lower, runs)
  }

  /// Where a column begins: a layer below and the bytes from its start.
  private mutating func place(
    of column: LogicalVolume.Column, count: UInt64, for volume: LogicalVolume,
    _ segment: LogicalVolume.Segment
  ) throws(StackError) -> (Layer, UInt64) {
    let owner = "\(segment.key) of the \(title(of: volume))"
    let isImage = segment.type != "striped" && segment.type != "linear"
    if !isImage, let member = group.member(column.volume) {
      guard column.extent + count <= member.extentCount else {
        throw StackError(
          .malformed, "\(owner) lies beyond the end of \(column.volume) (\(member.id))")
      }
      let layer = try layer(of: member, for: owner)
      let offset = member.start + column.extent * group.extentSize
      guard offset + count * group.extentSize <= layer.size else {
        throw StackError(
          .malformed,
          "\(owner) lies beyond the end of \(layer.title), which has \(layer.size) bytes")
      }
      return (layer, offset)
    }
    guard let part = group.logicalVolume(column.volume) else {
      throw StackError(.malformed, "\(owner) lies on a volume that the metadata do not describe")
    }
    guard column.extent + count <= part.extentCount else {
      throw StackError(.malformed, "\(owner) lies beyond the end of its part \(part.name)")
    }
    return (try layer(of: part), column.extent * group.extentSize)
  }

  private mutating func layer(
    of member: VolumeGroup.Member, for owner: String
  ) throws(StackError) -> Layer {
    guard let volume = found.volume(member) else {
      throw StackError(
        .medium, "\(owner) lies on the physical volume \(member.title), which is missing")
    }
    if let flag = member.flags.first(where: { $0 == "MISSING" || $0 == "EXPORTED" }) {
      throw StackError(
        .medium, "\(owner) lies on the physical volume \(member.title), which is marked \(flag)")
    }
    used.insert(member.id)
    return volume.layer
  }

  /// A part that is a logical volume itself is a layer of its own.
  private mutating func layer(of part: LogicalVolume) throws(StackError) -> Layer {
    if let layer = parts[part.name] { return layer }
    guard !nesting.contains(part.name), nesting.count < Self.maximumNesting,
      parts.count < Self.maximumParts
    else {
      throw StackError(
        .malformed,
        "the \(title(of: part)) is made of itself, nests too deep, or is one part of too many")
    }
    let (lower, runs) = try runs(of: part)
    let layer = Layer(
      try LayerMap(title: title(of: part), size: part.size, lower: lower, runs: runs))
    parts[part.name] = layer
    return layer
  }

  // MARK: Refusals

  private func check(_ volume: LogicalVolume) throws(StackError) {
    if found.isMoving(volume) {
      throw StackError(
        .inUse,
        "the \(title(of: volume)) is being moved by pvmove, so floe cannot map it before that "
          + "has ended")
    }
    // LOCKED belongs to pvmove; the others to mirrors and raid1 (lib/format_text/flags.c).
    let known: Set = ["READ", "WRITE", "VISIBLE", "FIXED_MINOR"]
    if let status = volume.status.first(where: { !known.contains($0) }) {
      throw StackError(
        .unsupported,
        "the \(title(of: volume)) has the status \(status), with which floe cannot map it")
    }
  }

  private func refusal(
    of segment: LogicalVolume.Segment, in volume: LogicalVolume
  ) -> StackError {
    var text =
      "the \(title(of: volume)) has a segment (\(segment.key)) of type \(segment.type), which "
      + "floe cannot map"
    if let why = Self.reason(for: segment.type) { text += ": \(why)" }
    return StackError(.unsupported, text)
  }

  private static func reason(for type: String) -> String? {
    switch type.prefix(while: { $0 != "+" }) {
    case "mirror", "raid1": "only the kernel knows which leg is in sync"
    case let type where type.hasPrefix("raid"): "only the kernel knows what is in sync"
    case "thin", "thin-pool": "the pool's own metadata hold its places"
    case "cache", "cache-pool", "writecache": "the newest data may lie in the cache"
    case "vdo", "vdo-pool": "its data are compressed and deduplicated"
    case "integrity": "its data lie between checksums"
    case "error", "zero": "it has no place on a medium"
    default: nil
    }
  }
}
