import DataSets
import FrozenImage
import VolumeLayers

/// The mapping of one logical volume, while it is made.
struct LogicalVolumeMapping {
  let found: FoundVolumeGroup
  var group: VolumeGroup { found.group }
  /// Layers of the parts that are logical volumes themselves, by name.
  private var parts: [String: Layer] = [:]
  /// Members that any part lies on.
  private var used: Set<VolumeIdentifier> = []
  /// The names of the volumes that are being mapped, the outermost first.
  private(set) var nesting: [String] = []

  /// A raid0 whose images lie on physical volumes is two deep.
  private static let maximumNesting = 4
  private static let maximumParts = 1024

  init(found: FoundVolumeGroup) {
    self.found = found
  }

  mutating func map(
    _ volume: LogicalVolume, title: String?, history: VolumeHistory
  ) throws(StackError) -> LayerMap {
    var extents = try self.extents(of: volume)
    var identity: [ProbeWindow] = []
    for volume in try watched() {
      let index = extents.index(of: volume.layer)
      identity.append(volume.identity(as: index))
      extents.witness += volume.witness(as: index)
    }
    return try LayerMap(
      title: title ?? self.title(of: volume), size: volume.size, lower: extents.lower,
      runs: extents.runs, identity: identity, witness: extents.witness, moves: true,
      state: history.state, history: history,
      sectorSize: extents.lower.compactMap(\.sectorSize).max())
  }

  func title(of volume: LogicalVolume) -> String {
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

  /// Where the extents of a volume lie.
  struct Extents {
    var lower: [Layer] = []
    var runs: [LayerRun] = []
    /// Of the volume itself, beside that of its group.
    var witness: [ProbeWindow] = []

    /// The place of a layer in `lower`.
    mutating func index(of layer: Layer) -> Int {
      if let index = lower.firstIndex(where: { $0 === layer }) { return index }
      lower.append(layer)
      return lower.count - 1
    }
  }

  private mutating func extents(of volume: LogicalVolume) throws(StackError) -> Extents {
    try check(volume)
    nesting.append(volume.name)
    defer { nesting.removeLast() }
    var extents = Extents()
    for segment in volume.segments {
      let placement =
        switch segment.layout {
        case .striped(let columns, let elementSize):
          try striped(columns, elementSize, in: segment, of: volume, &extents)
        case .moving(let columns, let moved):
          try moving(columns, moved: moved, in: segment, of: volume, &extents)
        case .raid(let raid): try placement(of: raid, in: segment, of: volume, &extents)
        default: throw refusal(of: segment, in: volume)
        }
      let range =
        segment.extents.lowerBound * group.extentSize..<segment.extents.upperBound
        * group.extentSize
      extents.runs.append(LayerRun(range, .below(placement)))
    }
    return extents
  }

  private mutating func striped(
    _ columns: [LogicalVolume.Column], _ elementSize: UInt64, in segment: LogicalVolume.Segment,
    of volume: LogicalVolume, _ extents: inout Extents
  ) throws(StackError) -> Placement<LayerAddress> {
    let count = (segment.extents.upperBound - segment.extents.lowerBound) / UInt64(columns.count)
    guard columns.count == 1 || (count * group.extentSize).isMultiple(of: elementSize) else {
      throw StackError(
        .malformed, "the \(title(of: volume)) has a \(segment.key) whose stripes are cut short")
    }
    var places: [LayerAddress] = []
    for column in columns {
      let (layer, offset) = try place(of: column, count: count, for: volume, segment)
      places.append(LayerAddress(layer: extents.index(of: layer), offset: offset))
    }
    guard
      let placement = Placement(
        columns: places.count, copies: 1, stripeLength: elementSize, targets: places)
    else {
      throw StackError(
        .malformed, "the \(title(of: volume)) has a \(segment.key) that has no stripes")
    }
    return placement
  }

  /// What pvmove moves lies at its old place until all of a segment is copied, and at its
  /// new one from then on. While it is copied, writes go to both (lvm2 lib/mirror/mirrored.c,
  /// `_mirrored_add_target_line`).
  private mutating func moving(
    _ columns: [LogicalVolume.Column], moved: UInt64, in segment: LogicalVolume.Segment,
    of volume: LogicalVolume, _ extents: inout Extents
  ) throws(StackError) -> Placement<LayerAddress> {
    let count = segment.extents.upperBound - segment.extents.lowerBound
    guard columns.count == 2, let old = columns.first, let new = columns.last, moved <= count else {
      throw StackError(
        .malformed, "the \(title(of: volume)) has a \(segment.key) that moves to no one place")
    }
    let (layer, offset) = try place(
      of: moved == count ? new : old, count: count, for: volume, segment)
    return .linear(at: LayerAddress(layer: extents.index(of: layer), offset: offset))
  }

  /// Where a column begins: a layer below and the bytes from its start.
  mutating func place(
    of column: LogicalVolume.Column, count: UInt64, for volume: LogicalVolume,
    _ segment: LogicalVolume.Segment
  ) throws(StackError) -> (Layer, UInt64) {
    let owner = "\(segment.key) of the \(title(of: volume))"
    if segment.liesOnMembers, let member = group.member(column.volume) {
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
  mutating func layer(of part: LogicalVolume) throws(StackError) -> Layer {
    if let layer = parts[part.name] { return layer }
    guard !nesting.contains(part.name), nesting.count < Self.maximumNesting,
      parts.count < Self.maximumParts
    else {
      throw StackError(
        .malformed,
        "the \(title(of: part)) is made of itself, nests too deep, or is one part of too many")
    }
    let extents = try extents(of: part)
    let layer = Layer(
      try LayerMap(
        title: title(of: part), size: part.size, lower: extents.lower, runs: extents.runs,
        witness: extents.witness))
    parts[part.name] = layer
    return layer
  }

  // MARK: Refusals

  private func check(_ volume: LogicalVolume) throws(StackError) {
    // LOCKED and PVMOVE belong to a move, the last three to raid (lib/format_text/flags.c).
    let known: Set = [
      "READ", "WRITE", "VISIBLE", "FIXED_MINOR", "LOCKED", "PVMOVE", "NOTSYNCED", "REBUILD",
      "WRITEMOSTLY",
    ]
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
    case "mirror": "only the kernel knows which leg is in sync; lvconvert --type raid1 changes that"
    case let type where type.hasPrefix("raid"): "its layout is not known, or a reshape changes it"
    case "thin", "thin-pool": "the pool's own metadata hold its places"
    case "cache", "cache-pool", "writecache": "the newest data may lie in the cache"
    case "vdo", "vdo-pool": "its data are compressed and deduplicated"
    case "integrity": "its data lie between checksums"
    case "error", "zero": "it has no place on a medium"
    default: nil
    }
  }
}
