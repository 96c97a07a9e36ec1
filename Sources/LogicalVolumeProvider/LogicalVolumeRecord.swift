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
  /// What was found; `nil` before it was made.
  var image: StackFreezer.Image?

  var snapshot: String? { "/dev/\(group)/\(name)" }

  var fill: SnapshotFill? {
    let title = "\(group)/\(pool ?? name)"
    let found = try? LVMCommand.report(
      "lvs", ["data_percent", "metadata_percent"],
      where: "vg_uuid=\(groupID) && lv_name=\(pool ?? name)"
    ).first
    guard let percent = found?.compactMap({ Double($0) }).max() else { return nil }
    guard pool == nil else {
      return SnapshotFill(
        title: "the thin pool \(title)", percent: percent,
        advice: "extend it (lvextend \(title)) before it is full")
    }
    return SnapshotFill(
      title: "the snapshot \(title)", percent: percent,
      advice: "once it is full the image is lost: extend it (lvextend --size +SIZE \(title)), or "
        + "thaw the image when it is not needed any more")
  }

  func release() throws {
    try SnapshotRemoval(groupID: groupID, group: group, name: name).run()
  }

  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ProductionHost {
    guard let image else {
      throw Failure(.malformed, "the record of image \(name) names no snapshot")
    }
    let source = StackSource(image, representation: representation)
    try source.follow()
    return source
  }
}
