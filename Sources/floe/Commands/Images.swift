import ArgumentParser
import FrozenImage
import Glibc
import ImageService
import LinuxIO
import SystemPackage

struct Images: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the frozen images, and what an interrupted freeze left behind.")

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
    var sessions: [Session]
  }

  func run() throws {
    // A host on which nothing was frozen yet has none; another one was meant to be there.
    guard state.isDefault || access(state.path, F_OK) == 0 else {
      throw Failure("there is no state directory \(state.path): \(Errno(rawValue: errno))")
    }
    let rows = try state.catalogue.entries().map(row)
    if json {
      print(JSON.text(of: rows))
      return
    }
    for row in rows {
      printLine("\(row.name)  \(row.id)  \(row.state)  \(row.source ?? "")")
      if let problem = row.problem { printLine("    \(problem)") }
      for session in row.sessions {
        printLine("    mounted on \(session.mountpoint) of \(session.backup_host)")
      }
    }
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
    return Row(
      name: entry.label, id: "\(entry.id)", state: name, problem: problem,
      source: entry.record?.source, created_seconds: entry.record?.created.seconds,
      representation_bytes: entry.record?.representation?.length,
      sessions: entry.sessions.map {
        Session(id: "\($0.id)", backup_host: $0.backupHost, mountpoint: $0.mountpoint)
      })
  }
}
