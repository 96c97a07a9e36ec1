import ArgumentParser
import Catalogue
import Freezing
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageService
import Jobs
import SystemPackage

struct Backup: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "Freeze data sets, have a backup host run a job over them, and thaw them.",
    discussion: """
      On the production host, where floe serve runs. All PATHs are frozen within one quiet time: after \
      the hook --pre-freeze and before the hook --post-freeze, which runs in any case, at the latest \
      when --quiet-limit is over. Then the agent of the backup host (floe agent) mounts each image and \
      runs JOB of its own configuration over it; what the job says goes to standard error.

      The exit status is the job's, the first that is not 0, and 1 when the job succeeded and \
      --post-freeze did not. The images are thawed when it has ended. When this command is killed they \
      live for --lease seconds and at least as long as the job may take, then floe serve thaws them.
      """)

  @Argument(help: "What to freeze, as floe freeze takes it.")
  var paths: [String]

  @Option(
    name: .customLong("to"),
    help: ArgumentHelp(
      "The backup host, as ssh(1) knows it, or the socket of an agent on this host.",
      valueName: "[USER@]HOST|ssh://[USER@]HOST[:PORT][?socket=PATH]|unix:PATH"))
  var destination: String

  @Option(help: "The job, by its name in the agent's configuration.")
  var job: String

  @Option(
    help: ArgumentHelp(
      "What the job and the mount know a PATH by, in the order of the PATHs: the same every night. "
        + "Otherwise the path with dashes. May be repeated.", valueName: "name"))
  var name: [String] = []

  @Option(
    help: ArgumentHelp(
      "Run by sh(1) before the freeze: applications rest from then on.", valueName: "command"))
  var preFreeze: String?

  @Option(
    help: ArgumentHelp("Run by sh(1) when all is frozen: applications go on.", valueName: "command")
  )
  var postFreeze: String?

  @Option(
    help: ArgumentHelp(
      "Run --post-freeze after so many seconds in any case, and give the backup up then.",
      valueName: "seconds"))
  var quietLimit: UInt32 = 60

  @Option(
    help: ArgumentHelp(
      "How long the images live at least when this command is gone.", valueName: "seconds"))
  var lease: UInt32 = 3600

  @Flag(help: "Leave the images frozen, without a lease.")
  var keep = false

  @OptionGroup var state: StateOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if paths.isEmpty { throw ValidationError("say what to back up") }
    if !name.isEmpty, name.count != paths.count {
      throw ValidationError("--name is given for each PATH, or not at all")
    }
    if quietLimit == 0 { throw ValidationError("--quiet-limit is at least one second") }
    if lease == 0 { throw ValidationError("--lease is at least one second") }
  }

  func run() throws {
    let labels = name.isEmpty ? paths.map { PathName.label(of: HostPath.absolute($0)) } : name
    for label in labels where !PathName.isValid(label) {
      throw Failure(.invalid, "“\(label)” cannot be the name of an image: give it a --name")
    }
    guard Set(labels).count == labels.count else {
      throw Failure(.invalid, "two PATHs have the same name: give each a --name")
    }
    let endpoint = try endpoint()
    var backup = BackupRun(
      catalogue: state.catalogue, job: job, destination: destination, lease: lease)
    backup.keepsImages = keep
    let parts = zip(paths, labels).map { BackupRun.Part(path: $0, label: $1) }
    let hooks = BackupRun.Hooks(before: preFreeze, behind: postFreeze, limit: quietLimit)
    let report = try backup.run(parts, hooks, to: endpoint)
    print(json ? JSON.text(of: report) : report.text)
    fflush(nil)
    if report.exit_status != 0 { throw SilentExit(status: report.exit_status) }
  }

  private func endpoint() throws -> ServiceEndpoint {
    do throws(AddressError) {
      if destination.hasPrefix("unix:") {
        return try ServiceEndpoint(socketPath: HostPath.absolute(String(destination.dropFirst(5))))
      }
      var authority = destination
      var socket = AgentConnection.defaultSocket
      if authority.hasPrefix("ssh://") {
        authority = String(authority.dropFirst(6))
        if let mark = authority.firstIndex(of: "?") {
          let query = authority[mark...]
          guard query.hasPrefix("?socket=") else {
            throw AddressError(.invalid, "“\(query)” is not ?socket=PATH")
          }
          socket = String(query.dropFirst("?socket=".count))
          authority = String(authority[..<mark])
        }
        if authority.hasSuffix("/") { authority = String(authority.dropLast()) }
      }
      return .ssh(try SSHService(authority: authority, socket: socket))
    } catch {
      throw Failure("--to", cause: error)
    }
  }
}
