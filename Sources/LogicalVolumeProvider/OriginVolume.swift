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

  /// - Parameter id: the identifiers of a volume and its group, as lvm2 writes them.
  /// - Throws: `StackError` that says what to do when no snapshot can be made of it here.
  init(_ id: (group: String, volume: String), device: DeviceNumber) throws(StackError) {
    let selection = "vg_uuid=\(id.group) && lv_uuid=\(id.volume)"
    guard let row = try LVMCommand.report("lvs", Self.columns, where: selection).first else {
      throw try Self.refusal(selection, id.volume)
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
  /// - Parameter path: the device's.
  /// - Throws: `StackError` when floe cannot read what the volume lies on.
  func requireReadable(at path: String) throws(StackError) {
    guard let pool else {
      _ = try StackFinder.layer(ofDevice: path)
      return
    }
    let parts =
      try LVMCommand.report(
        "lvs", ["data_lv", "metadata_lv"], where: "vg_uuid=\(groupID) && lv_name=\(pool)"
      ).first ?? []
    for part in parts {
      // Hidden ones may be in brackets.
      let name = part.filter { $0 != "[" && $0 != "]" }
      let types = try LVMCommand.report(
        "lvs", ["segtype"], where: "vg_uuid=\(groupID) && lv_name=\(name)", showsHidden: true)
      guard let other = types.compactMap(\.first).first(where: { !Self.readable.contains($0) })
      else { continue }
      throw StackError(
        .unsupported,
        "\(title) lies in the pool \(group)/\(pool), whose part \(name) is of the type \(other), "
          + "which floe does not read")
    }
  }

  private static let readable: Set = ["linear", "striped", "raid0", "raid0_meta"]

  /// Why lvm2 does not show a volume that this host has mounted.
  private static func refusal(_ selection: String, _ volume: String) throws(StackError)
    -> StackError
  {
    let foreign = try LVMCommand.report("lvs", columns, where: selection, isForeign: true).first
    if let foreign {
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
