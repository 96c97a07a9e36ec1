import ArgumentParser
import Catalogue
import DataSets
import Freezing
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

struct Images: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "List the frozen images, and what an interrupted freeze left behind.",
    discussion: """
      The oldest first: name, UUID, state, when it was frozen, the size of its representation, \
      and what was frozen. With SERVICE those of a production host, on a backup host.
      """)

  @Argument(
    help: "Of another host: ssh://[USER@]HOST, floe+unix:SOCKET or floe://HOST[:PORT].")
  var service: String?

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  private struct Session: Encodable {
    var id: String
    var backup_host: String
    var mountpoint: String
  }

  private struct Row: Encodable {
    var name: String
    var id: String
    /// "frozen", "freezing", "orphan" or "damaged".
    var state: String
    /// What is wrong, and what to do.
    var problem: String?
    var source: String?
    var created_seconds: Int64?
    var representation_bytes: UInt64?
    /// How full the snapshot is, or the pool that holds it: its data or its metadata, whichever
    /// is fuller; then each by itself.
    var snapshot_fill_percent: Double?
    var snapshot_data_percent: Double?
    var snapshot_metadata_percent: Double?
    /// What keeps programs of this host from working.
    var disturbance: String?
    var sessions: [Session]
    /// Mounts that were not heard of lately, while no service ran that could have heard.
    var silent_sessions: [Session]
    /// Seconds until an image of a backup is thawed, unless the backup keeps it.
    var lease_seconds_left: UInt32?
    /// The backup that keeps it.
    var lease_holder: String?
    var fill: SnapshotFill?

    enum CodingKeys: CodingKey {
      case name, id, state, problem, source, created_seconds, representation_bytes
      case snapshot_fill_percent, snapshot_data_percent, snapshot_metadata_percent, disturbance
      case sessions, silent_sessions, lease_seconds_left, lease_holder
    }
  }

  func validate() throws {
    if service != nil, !state.isDefault {
      throw ValidationError("it is either SERVICE or --state")
    }
  }

  func run() throws {
    if let service {
      let report = try ServedImagesReport(of: service)
      if json || !report.rows.isEmpty { print(json ? JSON.text(of: report) : report.text) }
      return
    }
    // A host on which nothing was frozen yet has none; another one was meant to be there.
    guard state.isDefault || access(state.path, F_OK) == 0 else {
      throw Failure("there is no state directory \(state.path)", cause: Errno(rawValue: errno))
    }
    let rows = try state.catalogue.entries().sorted { $0.age < $1.age }.map(row)
    if json {
      print(JSON.text(of: rows))
      return
    }
    for row in rows {
      let created = row.created_seconds.map { TimeText.local($0) } ?? "-"
      let size = row.representation_bytes.map { Self.sizeText($0) } ?? "-"
      printLine("\(row.name)  \(row.id)  \(row.state)  \(created)  \(size)  \(row.source ?? "")")
      if let fill = row.fill { printLine("    \(fill.sentence)") }
      if let problem = row.problem { printLine("    \(problem)") }
      if let disturbance = row.disturbance { printLine("    \(disturbance)") }
      if let left = row.lease_seconds_left {
        printLine(
          left > 0
            ? "    kept by \(row.lease_holder ?? "a backup"), else thawed in \(left) s"
            : "    its backup is gone: floe serve thaws it")
      }
      for session in row.sessions {
        printLine("    mounted on \(session.mountpoint) of \(session.backup_host)")
      }
      for session in row.silent_sessions {
        printLine(
          "    perhaps mounted on \(session.mountpoint) of \(session.backup_host): not heard of, "
            + "but the service did not run")
      }
    }
  }

  /// Bytes in a form of four digits at the most: "812 B", "1.4 MB", "123 GB".
  static func sizeText(_ bytes: UInt64) -> String {
    guard bytes >= 1000 else { return "\(bytes) B" }
    var rest = bytes
    var unit = 0
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while rest >= 1_000_000, unit < units.count - 2 {
      rest /= 1000
      unit += 1
    }
    let tenths = rest / 100
    let number = tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(tenths / 10)"
    return "\(number) \(units[unit + 1])"
  }

  private func row(_ entry: ImageEntry) -> Row {
    let (name, problem): (String, String?) =
      switch entry.state {
      case .frozen: ("frozen", nil)
      case .beingFrozen: ("freezing", nil)
      case .orphan:
        (
          "orphan",
          "its freeze was interrupted; \(state.command("thaw \(entry.label)")) removes what it left"
        )
      case .damaged(let reason):
        ("damaged", "\(reason); \(state.command("thaw --force \(entry.label)")) removes it")
      }
    let fill = entry.record.flatMap(Providers.all.fill)
    let lease = state.catalogue.lease(of: entry.id)
    return Row(
      name: entry.label, id: "\(entry.id)", state: name, problem: problem,
      source: entry.record?.source, created_seconds: entry.record?.created.seconds,
      representation_bytes: entry.record?.representation?.length,
      snapshot_fill_percent: fill?.percent, snapshot_data_percent: fill?.data,
      snapshot_metadata_percent: fill?.metadata,
      disturbance: entry.record.flatMap(Providers.all.disturbance),
      sessions: entry.sessions.map(Self.session),
      silent_sessions: ((try? state.catalogue.silentSessions(of: entry.id)) ?? [])
        .map(Self.session), lease_seconds_left: lease?.left, lease_holder: lease?.lease.holder,
      fill: fill)
  }

  private static func session(_ record: SessionRecord) -> Session {
    Session(id: "\(record.id)", backup_host: record.backupHost, mountpoint: record.mountpoint)
  }
}

extension ImageEntry {
  /// What images are listed by: when they were frozen, what cannot be read at the end.
  fileprivate var age: (Int64, UInt32) {
    (record?.created.seconds ?? .max, record?.created.nanoseconds ?? 0)
  }
}
