import DataSets
import FrozenImage

/// The snapshot that is going to be made of a logical volume.
struct SnapshotPlan {
  let origin: OriginVolume
  /// Bytes for what changes in the origin; `nil` of a thin one, for which its pool has room.
  let size: UInt64?

  /// How full the pool is that holds it, in percent; `nil` where it has its own room.
  private let poolLevel: Double?

  /// - Parameters:
  ///   - wanted: bytes; `nil` for a quarter of the origin, or what the group has but for a tenth.
  ///   - hasReflinks: whether a directory of the file system can be copied instead.
  ///   - levels: tells how full a pool is, by its full name: percentages as lvm2 writes them.
  /// - Throws: `StackError` when there is no room.
  init(
    of origin: OriginVolume, size wanted: UInt64?, hasReflinks: Bool,
    levels: (String) throws(StackError) -> [String] = SnapshotPlan.levels(of:)
  ) throws(StackError) {
    self.origin = origin
    let otherwise =
      hasReflinks ? "; --reflink makes no snapshot, but copies a directory file by file" : ""
    guard let pool = origin.pool else {
      size = try Self.size(of: origin, wanted, otherwise: otherwise)
      poolLevel = nil
      return
    }
    let title = "\(origin.group)/\(pool)"
    guard wanted == nil else {
      throw StackError(
        .invalid,
        "\(origin.title) is a thin volume, whose snapshot takes its room from the pool "
          + "\(title): leave --snapshot-size out")
    }
    size = nil
    poolLevel = try Self.level(levels(title), of: title, otherwise: otherwise)
  }

  /// Bytes for a snapshot that has its own room.
  private static func size(
    of origin: OriginVolume, _ wanted: UInt64?, otherwise: String
  ) throws(StackError) -> UInt64 {
    let extent = origin.extentSize
    func rounded(_ bytes: UInt64) -> UInt64 {
      let extents = bytes / extent + (bytes.isMultiple(of: extent) ? 0 : 1)
      let (size, overflow) = max(1, extents).multipliedReportingOverflow(by: extent)
      return overflow ? .max : size
    }
    if let wanted {
      guard rounded(wanted) <= origin.free else {
        throw StackError(
          .noRoom,
          "the volume group \(origin.group) has \(text(of: origin.free)) left, less than "
            + "--snapshot-size asks for")
      }
      return rounded(wanted)
    }
    // Others grow by themselves: thin pools, snapshots.
    let usable = (origin.free - origin.free / 10) / extent * extent
    guard usable >= extent, usable >= origin.size / 100 else {
      throw StackError(
        .noRoom,
        "the volume group \(origin.group) has \(text(of: origin.free)) left, too little for what "
          + "changes in \(origin.title) while its snapshot lives: add a disk (vgextend), or say how "
          + "much is enough (--snapshot-size)\(otherwise)")
    }
    return min(rounded(origin.size / 4), usable)
  }

  /// - Returns: percent.
  private static func level(
    _ levels: [String], of pool: String, otherwise: String
  ) throws(StackError) -> Double {
    let numbers = levels.compactMap { Double($0) }
    guard numbers.count == levels.count, let fullest = numbers.max() else {
      throw StackError(
        .malformed,
        "lvs does not tell how full the thin pool \(pool) is (“\(levels.joined(separator: " "))”), so "
          + "no snapshot is made in it: see lvs \(pool)")
    }
    guard fullest < 95 else {
      throw StackError(
        .noRoom,
        "the thin pool \(pool) is full to \(Int(fullest)) %, so that no snapshot is made in it: "
          + "extend it (lvextend \(pool); its metadata with --poolmetadatasize)\(otherwise)")
    }
    return fullest
  }

  /// How full a thin pool is, as lvm2 writes it.
  static func levels(of pool: String) throws(StackError) -> [String] {
    try LVMCommand.report(
      "lvs", ["data_percent", "metadata_percent"], where: "lv_full_name=\(pool)"
    ).first ?? []
  }

  /// The volume's name: it says whose it is.
  static func name(of image: UniqueIdentifier) -> String { "floe-\(image)" }

  /// What lvcreate(8) is told. The snapshot cannot be written. A thin one is not activated with
  /// the others after the next start of the host (`-ky`): a mount by UUID might take it for its
  /// origin. One that has its own room is active as its origin is.
  func words(for image: UniqueIdentifier) -> [String] {
    ["lvcreate", "--yes", "--snapshot", "--permission", "r"]
      + ["--setactivationskip", size == nil ? "y" : "n"]
      + ["--addtag", "floe", "--name", Self.name(of: image)]
      + (size.map { ["--size", "\($0)b"] } ?? []) + [origin.title]
  }

  /// What the user is told before.
  var remark: String {
    guard let size else {
      return "a thin snapshot of \(origin.title) is made, which takes room for changes from the "
        + "pool \(origin.group)/\(origin.pool ?? ""), full to \(Int(poolLevel ?? 0)) %; floe thaw "
        + "removes it"
    }
    return "a snapshot of \(origin.title) is made, with room for \(Self.text(of: size)) of changes "
      + "while the image lives (--snapshot-size says otherwise); floe thaw removes it"
  }

  /// A size for people.
  static func text(of bytes: UInt64) -> String {
    var (rest, unit) = (bytes, 0)
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while rest >= 10_240, unit < units.count - 1 { (rest, unit) = (rest / 1024, unit + 1) }
    return "\(rest) \(units[unit])"
  }
}
