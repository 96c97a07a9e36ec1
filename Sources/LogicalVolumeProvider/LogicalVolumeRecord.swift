import DataSets
import FrozenImage
import HostSystem
import ImageReader
import LogicalRepresentation
import StackProvider

/// What the catalogue keeps of an image on a snapshot that floe made of a logical volume: where
/// the snapshot will be, before it is made, and what was found on it.
struct LogicalVolumeRecord: ProviderRecord {
  static let provider = "lvm"

  /// The group's identifier, as lvm2 writes it, and its name at the freeze.
  var groupID: String
  var group: String
  /// The snapshot's name.
  var name: String
  /// The thin pool that holds it; `nil` of one that has its own room.
  var pool: String?
  /// The origin's identifier, as lvm2 writes it; `nil` in records of before there was one.
  var origin: String?
  /// Whether the service has it grow while it fills up; `nil` as `false`.
  var extends: Bool?
  /// Seconds for which the origin may stand still then; `nil` as 10.
  var quietLimit: UInt64?
  /// What was found; `nil` before it was made.
  var image: StackFreezer.Image?

  var snapshot: String? { "/dev/\(group)/\(name)" }

  var fill: SnapshotFill? {
    let title = "\(group)/\(pool ?? name)"
    let found = try? LVMCommand.report(
      "lvs", ["data_percent", "metadata_percent"],
      where: "vg_uuid=\(groupID) && lv_name=\(pool ?? name)"
    ).first
    guard let levels = found?.map({ Double($0) }), levels.count == 2, let data = levels[0]
    else { return nil }
    guard pool == nil else {
      return SnapshotFill(
        title: "the thin pool \(title)", data: data, metadata: levels[1],
        advice: "extend it (lvextend \(title); its metadata with --poolmetadatasize) before it is "
          + "full")
    }
    return SnapshotFill(
      title: "the snapshot \(title)", data: data,
      advice: "once it is full the image is lost: extend it (lvextend --size +SIZE \(title)), or "
        + "thaw the image when it is not needed any more")
  }

  var mayGrow: Bool { extends == true && pool == nil }

  func extend() throws -> String? {
    guard mayGrow else { return nil }
    return try SnapshotGrowth(groupID: groupID, name: name, quietLimit: quietLimit ?? 10).run()
  }

  var disturbance: String? {
    guard let origin, let left = LeftSuspension(group: groupID, volume: origin),
      left.isThere(isOwn: { SnapshotRemoval.isMade(name) })
    else { return nil }
    return "the volume of which the snapshot \(group)/\(name) was made or removed is suspended and "
      + "nobody is at it, so programs that write to it stand still: floe thaw lets it go on"
  }

  func release() throws {
    try SnapshotRemoval(groupID: groupID, group: group, name: name, origin: origin).run()
  }

  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ProductionHost {
    guard let image else {
      throw Failure(.malformed, "the record of image \(name) names no snapshot")
    }
    let source = StackSource(image, representation: representation)
    try source.follow()
    return SnapshotSource(source: source, record: self)
  }
}
