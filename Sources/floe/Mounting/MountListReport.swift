import HostSystem

/// What `floe status` tells of all mounts of this host; the JSON form's keys are part of floe's
/// interface.
struct MountListReport: Encodable {
  struct Row: Encodable {
    var mountpoint: String
    /// "working", "failing", "thawed"; "dead" when the process of the mount is gone; "unknown"
    /// when this user may not ask, or it is of an older floe.
    var state: String
    /// Why nothing more is known.
    var problem: String?
    /// As the status of this mount alone has it.
    var image: String?
    var image_id: String?
    var service: String?
    var reads: UInt64?
    var errors: UInt64?
  }

  let rows: [Row]

  func encode(to encoder: any Encoder) throws {
    try rows.encode(to: encoder)
  }

  /// Looks at each mount. Blocks for as long as their production hosts take to answer.
  init(of mountpoints: [String]) {
    rows = mountpoints.map(Self.row)
  }

  private static func row(_ mountpoint: String) -> Row {
    guard !MountTable.isDead(mountpoint) else {
      return Row(
        mountpoint: mountpoint, state: "dead",
        problem: "the process that served it is gone; run: floe umount "
          + VisibleText.shellWord(mountpoint))
    }
    do {
      let bytes = try MountTable.control(ControlAttributes.status, of: mountpoint)
      guard let report = JSON.report(StatusReport.self, from: bytes) else {
        return Row(
          mountpoint: mountpoint, state: "unknown",
          problem: "it is served by another version of floe")
      }
      return Row(
        mountpoint: mountpoint, state: report.state?.rawValue ?? "unknown", image: report.image,
        image_id: report.image_id, service: report.production_host.address, reads: report.reads,
        errors: report.errors)
    } catch {
      return Row(mountpoint: mountpoint, state: "unknown", problem: "\(error)")
    }
  }

  /// The worst of the mounts, as the status of one says it; 1 where nothing can be shown.
  var exitStatus: Int32 {
    let states: [String: Int32] = [
      "working": 0, "dead": 1, "unknown": 1, "thawed": 2, "failing": 3,
    ]
    return rows.map { states[$0.state] ?? 1 }.max() ?? 0
  }

  /// The report for people, a line for each mount.
  var text: String {
    guard !rows.isEmpty else { return "no image is mounted on this host" }
    return VisibleText.page(
      rows.map { row in
        let end =
          row.problem
          ?? "\(row.reads ?? 0) reads answered, \(row.errors ?? 0) failed  \(row.service ?? "")"
        return "\(row.mountpoint)  \(row.state)  \(row.image.map { "\($0)  " } ?? "")\(end)"
      })
  }
}
