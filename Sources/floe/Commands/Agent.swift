import ArgumentParser
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageService
import Jobs
import Logging
import SystemPackage

struct Agent: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run jobs over the images of production hosts, until SIGTERM or SIGINT.",
    discussion: """
      For floe backup, on the backup host: mounts each image at a path that stays the same, runs the \
      job that the configuration names, with its user and its time limit, and unmounts. A command \
      never comes from elsewhere: production hosts choose among the jobs of the configuration. \
      Only root and the agent's own user are answered, on a Unix socket that ssh(1) carries.
      """)

  @Option(help: ArgumentHelp("The jobs.", valueName: "file"))
  var config = AgentConfiguration.defaultPath

  @Option(
    help: ArgumentHelp(
      "Where to listen; beside it, production hosts bring their sockets into the directory in.",
      valueName: "path"))
  var socket = AgentConnection.defaultSocket

  @Option(
    name: .customLong("state"),
    help: ArgumentHelp("Where the history of runs is.", valueName: "DIR"))
  var directory = RunHistory.defaultDirectory

  @OptionGroup var log: LogOptions

  func run() throws {
    LogDestination.use(background: false, log)
    let logger = Logger(label: "floe.agent")
    let configuration = try AgentConfiguration(path: config)
    guard !configuration.jobs.isEmpty else {
      throw Failure(.invalid, "the agent's configuration \(config) has no jobs")
    }
    let socket = HostPath.absolute(socket)
    let incoming = AgentConnection.incoming(ofAgentAt: socket)
    try Self.makeDirectory(incoming)
    let history = RunHistory(directory: HostPath.absolute(directory))
    let runner = JobRunner(
      configuration, history: history, mounter: ProgramMounter(), incoming: incoming,
      launch: Self.launch)
    // Held for as long as the process lives: two agents would end each other's runs.
    try history.create()
    try AgentLock.take(in: HostPath.absolute(directory))
    for lost in try runner.recover() {
      logger.warning(
        "the run of \(lost.job) for \(lost.host) was lost, as the agent ended",
        metadata: ["run": "\(lost.id)"])
    }
    try runner.start()
    let server = AgentServer(runner, jobs: Array(configuration.jobs.values), logger: logger)
    Interruption.listen(lastWords: "floe: ended at once; the next floe agent cleans up\n")
    let outcome = Monitor<Result<Void, Failure>?>(nil)
    Task.detached {
      let result: Result<Void, Failure>
      do {
        try await server.run(listen: try ServiceEndpoint(socketPath: socket)) {
          logger.notice("listening on unix:\(socket)")
        }
        result = .success(())
      } catch {
        result = .failure(Failure(error))
      }
      outcome.withLock { $0 = result }
    }
    while Interruption.signal == nil, outcome.withLock({ if case nil = $0 { true } else { false } })
    { usleep(100_000) }
    runner.stop()
    // Who follows a run is told how it ended.
    usleep(500_000)
    server.shutDown()
    if case .failure(let failure)? = outcome.withLock({ $0 }) { throw failure }
  }

  private static let launch: JobRunner.Launch = { job, command, run, directory in
    (
      "/proc/self/exe",
      ["floe", "job-process", "--parent", "\(getpid())", "--run", run, "--directory", directory]
        + (job.user.map { ["--user", $0] } ?? []) + ["--"] + command
    )
  }

  /// Only its owner may enter it.
  private static func makeDirectory(_ path: String) throws(Failure) {
    var parent = FilePath(path)
    parent.removeLastComponent()
    var directories = [parent, FilePath(path)]
    if access(parent.removingLastComponent().string, F_OK) != 0 {
      directories.insert(parent.removingLastComponent(), at: 0)
    }
    for directory in directories {
      let mode: mode_t = directory.string == path ? 0o700 : 0o755
      guard mkdir(directory.string, mode) == 0 || errno == EEXIST else {
        throw Failure("the directory \(directory) cannot be made", cause: Errno(rawValue: errno))
      }
    }
  }
}

/// That one agent at a time has a state directory.
private enum AgentLock {
  static func take(in directory: String) throws(Failure) {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw Failure(.inUse, "another floe agent has its state in \(directory)")
    }
  }
}
