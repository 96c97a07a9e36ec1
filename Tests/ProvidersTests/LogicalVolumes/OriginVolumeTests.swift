import FrozenImage
import HostSystem
import Testing

@testable import DataSets
@testable import LogicalVolumeProvider

/// Volumes of which no snapshot is made, by what lvm2 reports of them.
@Suite struct OriginVolumeTests {
  private static let id = (group: "group-uuid", volume: "volume-uuid")

  /// What `lvs` reports of a volume of 1 GiB.
  private static func row(
    _ type: String = "linear", pool: String = "", lock: String = "", clustered: String = "",
    system: String = ""
  ) -> [String] {
    ["vg", id.group, "data", "1073741824", type, pool, "0", "4194304", lock, clustered, system]
  }

  private func refusal(_ body: (DeviceNumber) throws -> Void) throws -> String {
    let device = try #require(DeviceNumber("253:1"))
    let error = #expect(throws: StackError.self) { try body(device) }
    return try #require(error).description
  }

  @Test(
    "A group that hosts share, by lvmlockd or by a cluster, is refused with what to do",
    arguments: [("sanlock", ""), ("dlm", ""), ("", "clustered")])
  func shared(lock: String, clustered: String) throws {
    let sentence = try refusal {
      _ = try OriginVolume(Self.id, device: $0) { (_, _, _) throws(StackError) in
        [Self.row(lock: lock, clustered: clustered)]
      }
    }
    #expect(sentence.contains("the volume group vg is shared by several hosts"), "\(sentence)")
    #expect(sentence.contains("lvcreate -s -pr"), "\(sentence)")
  }

  @Test("A group of another host is refused with its system ID and what to do")
  func foreign() throws {
    let sentence = try refusal {
      _ = try OriginVolume(Self.id, device: $0) { (_, _, scope) throws(StackError) in
        scope == .foreign ? [Self.row(system: "other-host")] : []
      }
    }
    #expect(sentence.contains("belongs to another host (system ID other-host)"), "\(sentence)")
    #expect(sentence.contains("vgchange --systemid"), "\(sentence)")
  }

  @Test("A volume that lvm2 does not show is refused with where to look")
  func unknown() throws {
    let sentence = try refusal {
      _ = try OriginVolume(Self.id, device: $0) { (_, _, _) throws(StackError) in [] }
    }
    #expect(sentence.contains("lvm2 shows no logical volume volume-uuid"), "\(sentence)")
    #expect(sentence.contains("lvmdevices"), "\(sentence)")
  }

  /// What is said of a thin volume before anything stands still for it.
  private func thin(origin: [String], other: [[String]], type: String) throws {
    let device = try #require(DeviceNumber("253:1"))
    let volume = try OriginVolume(
      Self.row("thin", pool: "pool"), id: Self.id.volume, device: device)
    try volume.requireReadable(at: "/dev/vg/data") { (columns, selection, _) throws(StackError) in
      switch columns {
      case ["origin_uuid"]: [origin]
      case ["lv_name", "pool_lv"]: other
      case ["data_lv", "metadata_lv"]: [["[pool_tdata]", "[pool_tmeta]"]]
      case ["segtype"] where selection.hasSuffix("lv_name=pool_tdata"): [[type]]
      default: [["linear"]]
      }
    }
  }

  @Test("A thin volume with an external origin, or in a pool with a cache, is refused before")
  func thinOnOthers() throws {
    // A volume of its own, a snapshot in the same pool, and one whose origin was removed.
    try thin(origin: [""], other: [], type: "linear")
    try thin(origin: ["other-uuid"], other: [["base", "pool"]], type: "striped")
    try thin(origin: ["other-uuid"], other: [], type: "raid0")
    let external = try refusal { _ in
      try thin(origin: ["other-uuid"], other: [["base", ""]], type: "linear")
    }
    #expect(external.contains("vg/data has an external origin, vg/base"), "\(external)")
    for type in ["cache", "raid1", "writecache", "vdo"] {
      let cached = try refusal { _ in try thin(origin: [""], other: [], type: type) }
      #expect(cached.contains("pool_tdata is of the type \(type)"), "\(cached)")
    }
  }
}
