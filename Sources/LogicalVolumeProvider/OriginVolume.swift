import BlockMappers
import DataSets
import FrozenImage
import HostSystem
import StackProvider

/// A logical volume of which a snapshot is to be made, and its group, as lvm2 tells.
struct OriginVolume {
  let group: String
  let groupID: String
  /// Its identifier, as lvm2 writes it.
  let id: String
  let name: String
  /// Bytes.
  let size: UInt64
  /// The thin pool that holds it; `nil` of one that is not thin.
  let pool: String?
  /// Bytes of the group that no volume has.
  let free: UInt64
  let extentSize: UInt64
  /// The block device as which it is mounted.
  let device: DeviceNumber

  var title: String { "\(group)/\(name)" }
}

extension OriginVolume {
  private static let columns = [
    "vg_name", "vg_uuid", "lv_name", "lv_size", "segtype", "pool_lv", "vg_free", "vg_extent_size",
    "vg_lock_type", "vg_clustered", "vg_systemid",
  ]

  /// What lvm2 looks at.
  enum Scope { case own, foreign, hidden }

  /// Looks volumes up: columns, and a condition of lvmreport(7).
  typealias Lookup = (_ columns: [String], _ selection: String, _ scope: Scope) throws(StackError)
    -> [[String]]

  static func lvs(
    _ columns: [String], _ selection: String, _ scope: Scope
  ) throws(StackError) -> [[String]] {
    try LVMCommand.report(
      "lvs", columns, where: selection, isForeign: scope == .foreign, showsHidden: scope == .hidden)
  }

  /// - Parameters:
  ///   - id: the identifiers of a volume and its group, as lvm2 writes them.
  ///   - lvs: looks volumes up.
  /// - Throws: `StackError` that says what to do when no snapshot can be made of it here.
  init(
    _ id: (group: String, volume: String), device: DeviceNumber, lvs: Lookup = OriginVolume.lvs
  ) throws(StackError) {
    let selection = "vg_uuid=\(id.group) && lv_uuid=\(id.volume)"
    guard let row = try lvs(Self.columns, selection, .own).first else {
      throw try Self.refusal(selection, id.volume, lvs)
    }
    try self.init(row, id: id.volume, device: device)
  }

  /// - Parameter row: what lvm2 reports of it.
  /// - Throws: `StackError` when no snapshot can be made of it here.
  init(_ row: [String], id: String, device: DeviceNumber) throws(StackError) {
    func number(_ column: Int) throws(StackError) -> UInt64 {
      guard let number = UInt64(row[column]) else {
        throw StackError(.malformed, "lvs reports \(Self.columns[column]) as “\(row[column])”")
      }
      return number
    }
    self.id = id
    group = row[0]
    groupID = row[1]
    name = row[2]
    size = try number(3)
    pool = row[4] == "thin" && !row[5].isEmpty ? row[5] : nil
    free = try number(6)
    extentSize = try number(7)
    self.device = device
    let isShared = !row[8].isEmpty && row[8] != "none" || !row[9].isEmpty
    guard !isShared, extentSize > 0 else {
      throw StackError(
        .unsupported,
        "the volume group \(group) is shared by several hosts, which must agree on each change of "
          + "it: make a snapshot yourself where \(title) is active (lvcreate -s -pr), and freeze that"
      )
    }
  }

  /// Refuses what no description of a snapshot comes of, before production is stopped for it.
  ///
  /// - Parameters:
  ///   - path: the device's.
  ///   - lvs: looks volumes up.
  /// - Throws: `StackError` when floe cannot read what the volume lies on.
  func requireReadable(at path: String, lvs: Lookup = OriginVolume.lvs) throws(StackError) {
    guard let pool else {
      _ = try StackFinder.layer(ofDevice: path)
      return
    }
    try requireNoOther(pool, lvs)
    let parts =
      try lvs(["data_lv", "metadata_lv"], "vg_uuid=\(groupID) && lv_name=\(pool)", .own).first ?? []
    for part in parts {
      // Hidden ones may be in brackets.
      let name = part.filter { $0 != "[" && $0 != "]" }
      let types = try lvs(["segtype"], "vg_uuid=\(groupID) && lv_name=\(name)", .hidden)
      guard let other = types.compactMap(\.first).first(where: { !Self.readable.contains($0) })
      else { continue }
      throw StackError(
        .unsupported,
        "\(title) lies in the pool \(group)/\(pool), whose part \(name) is of the type \(other), "
          + "which floe does not read")
    }
  }

  /// A thin volume may have a volume outside of its pool below it.
  private func requireNoOther(_ pool: String, _ lvs: Lookup) throws(StackError) {
    let below = try lvs(["origin_uuid"], "vg_uuid=\(groupID) && lv_uuid=\(id)", .own).first?.first
    guard let below, !below.isEmpty else { return }
    let row = try lvs(["lv_name", "pool_lv"], "vg_uuid=\(groupID) && lv_uuid=\(below)", .hidden)
      .first
    // One that was removed since lies in the pool alone.
    guard let row, row[1].filter({ $0 != "[" && $0 != "]" }) != pool else { return }
    throw StackError(
      .unsupported,
      "\(title) has an external origin, \(group)/\(row[0]), which holds the rest of it outside of the "
        + "pool \(group)/\(pool), and floe does not read that: copy it to a volume that lies in the pool "
        + "as a whole")
  }

  private static let readable: Set = ["linear", "striped", "raid0", "raid0_meta"]

  /// Why lvm2 does not show a volume that this host has mounted.
  private static func refusal(
    _ selection: String, _ volume: String, _ lvs: Lookup
  ) throws(StackError) -> StackError {
    if let foreign = try lvs(columns, selection, .foreign).first {
      return StackError(
        .unsupported,
        "the volume group \(foreign[0]) belongs to another host (system ID \(foreign[10])): make it "
          + "this host's first (vgchange --systemid)")
    }
    return StackError(
      .notFound,
      "lvm2 shows no logical volume \(volume) on this host, so no snapshot of it can be made: see "
        + "pvs --all and the devices file (lvmdevices)")
  }
}
