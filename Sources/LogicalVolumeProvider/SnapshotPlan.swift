import DataSets
import FrozenImage

/// The snapshot that is going to be made of a logical volume.
struct SnapshotPlan {
  let origin: OriginVolume
  /// Bytes for what changes in the origin; `nil` of a thin one, for which its pool has room.
  let size: UInt64?

  /// - Parameter wanted: bytes; `nil` for a quarter of the origin, or what the group has.
  /// - Throws: `StackError` when there is no room.
  init(of origin: OriginVolume, size wanted: UInt64?) throws(StackError) {
    self.origin = origin
    if let pool = origin.pool {
      guard wanted == nil else {
        throw StackError(
          .invalid,
          "\(origin.title) is a thin volume, whose snapshot takes its room from the pool "
            + "\(origin.group)/\(pool): leave --snapshot-size out")
      }
      size = nil
      try Self.requireRoom(in: "\(origin.group)/\(pool)")
      return
    }
    guard origin.free >= origin.extentSize else {
      throw StackError(
        .noRoom,
        "the volume group \(origin.group) has no free extents for a snapshot of \(origin.title): "
          + "add a disk (vgextend), or make a volume smaller that can be (lvreduce)")
    }
    let extents = ((wanted ?? origin.size / 4) + origin.extentSize - 1) / origin.extentSize
    let size = max(1, extents) * origin.extentSize
    guard size <= origin.free || wanted == nil else {
      throw StackError(
        .noRoom,
        "the volume group \(origin.group) has \(origin.free) bytes left, fewer than "
          + "--snapshot-size asks for")
    }
    self.size = min(size, origin.free / origin.extentSize * origin.extentSize)
  }

  private static func requireRoom(in pool: String) throws(StackError) {
    let found = try LVMCommand.report(
      "lvs", ["data_percent", "metadata_percent"], where: "lv_full_name=\(pool)"
    ).first
    guard let fullest = found?.compactMap({ Double($0) }).max(), fullest >= 95 else { return }
    throw StackError(
      .noRoom,
      "the thin pool \(pool) is full to \(Int(fullest)) %, so that no snapshot is made in it: "
        + "extend it (lvextend \(pool); its metadata with --poolmetadatasize)")
  }

  /// The volume's name: it says whose it is.
  static func name(of image: UniqueIdentifier) -> String { "floe-\(image)" }

  /// What lvcreate(8) is told. The snapshot cannot be written, and is activated as any other
  /// volume (`-kn`), also after the next start of the host.
  func words(for image: UniqueIdentifier) -> [String] {
    ["lvcreate", "--yes", "--snapshot", "--permission", "r", "--setactivationskip", "n"]
      + ["--addtag", "floe", "--name", Self.name(of: image)]
      + (size.map { ["--size", "\($0)b"] } ?? []) + [origin.title]
  }

  /// What the user is told before.
  var remark: String {
    guard let size else {
      return "a thin snapshot of \(origin.title) is made; floe thaw removes it"
    }
    return "a snapshot of \(origin.title) is made, with room for \(Self.text(of: size)) of changes "
      + "while the image lives (--snapshot-size says otherwise); floe thaw removes it"
  }

  private static func text(of bytes: UInt64) -> String {
    var (rest, unit) = (bytes, 0)
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while rest >= 10_240, unit < units.count - 1 { (rest, unit) = (rest / 1024, unit + 1) }
    return "\(rest) \(units[unit])"
  }
}
