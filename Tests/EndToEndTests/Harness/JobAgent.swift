import FoundationEssentials
import Glibc

/// A backup host's agent, with jobs of a test.
final class JobAgent {
  let socket: String
  let mounts: String
  private let state: String
  private let configuration: String
  private let scratch: Scratch
  private(set) var process: ChildProcess?

  /// - Parameter jobs: tables of TOML; each job gets the media of the volume.
  convenience init(
    _ jobs: [(name: String, command: [String], more: String)], _ site: BackupSite
  ) throws {
    let tables = jobs.map { job in
      """
      [jobs.\(job.name)]
      command = [\(job.command.map { "\"\($0)\"" }.joined(separator: ", "))]
      \(job.more)

      """
    }
    try self.init(tables.joined(), site)
  }

  /// - Parameter text: tables of jobs, without `mount_options`.
  init(_ text: String, _ site: BackupSite) throws {
    scratch = site.scratch
    let directory = try scratch.directory("agent")
    socket = "\(directory)/agent.sock"
    mounts = "\(directory)/mnt"
    state = "\(directory)/state"
    configuration = "\(directory)/agent.toml"
    let media = site.volume.devices.map { "\"--medium\", \"\($0.medium)=\($0.loop)\"" }
      .joined(separator: ", ")
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.hasPrefix("[jobs.") ? "\(line)\nmount_options = [\(media)]" : String(line)
    }
    try writeFile(configuration, "mounts = \"\(mounts)\"\n\(lines.joined(separator: "\n"))".utf8)
    try start()
  }

  func start() throws {
    let process = try scratch.start(
      Floe.program,
      ["agent", "--config", configuration, "--socket", socket, "--state", state])
    self.process = process
    try waitUntil("floe agent listens") {
      if process.hasEnded { throw HarnessError("floe agent ended: \(process.errors)") }
      return process.errors.contains("listening on")
    }
  }

  func signal(_ number: Int32) throws {
    process?.signal(number)
    try process?.wait(seconds: 60)
  }

  /// What `floe jobs --json` tells.
  func runs() throws -> [Run] {
    let text = try run(Floe.program, ["jobs", "--json", "--state", state])
    return try JSONDecoder().decode([Run].self, from: Data(text.utf8))
  }

  /// Where its images are mounted now.
  var mounted: [String] { Scratch.mountpoints(below: mounts) }

  struct Run: Decodable {
    let job: String
    let state: String
    let exitStatus: Int32?
    let reason: String?
  }
}

/// A production host that serves a volume of which nothing is frozen yet.
final class BackupSite {
  let scratch: Scratch
  let volume: Volume
  let production: ProductionHost
  /// Subvolumes.
  let sources: [String]

  init(subvolumes: Int = 1) throws {
    scratch = try Scratch()
    volume = try Volume(.single, in: scratch, megabytes: 512)
    production = try ProductionHost(in: scratch)
    var sources: [String] = []
    for index in 0..<subvolumes {
      let source = "\(volume.mountpoint)/data\(index)"
      try run("btrfs", ["subvolume", "create", source])
      let tree = Tree(source)
      try run("mkdir", ["\(source)/deep"])
      for name in ["a", "deep/b", "deep/c"] {
        try tree.writer.random("\(name)-\(index)", bytes: 300_000)
      }
      sources.append(source)
    }
    self.sources = sources
    try volume.sync()
    try production.serve()
  }

  /// The words of a backup of all sources.
  func words(_ job: String, to destination: String, _ more: [String] = []) -> [String] {
    ["backup"] + sources + ["--to", destination, "--job", job, "--state", production.state] + more
  }

  /// The states of the images, by `floe images`.
  func images() throws -> String { try production.floe("images").output }
}

/// What `floe backup --json` tells, as far as the tests look at it.
struct BackupReport: Decodable {
  struct Image: Decodable {
    let name: String
    let files: UInt64
    let bytes: UInt64
    let exit_status: Int32?
    let reads: UInt64
    let errors: UInt64
    let storage_bytes: UInt64
    let thawed: Bool
  }

  let state: String
  let exit_status: Int32
  let quiet_seconds: Double
  let reason: String?
  let images: [Image]

  init(_ outcome: Outcome) throws {
    self = try JSONDecoder().decode(Self.self, from: Data(outcome.output.utf8))
  }
}
