import FoundationEssentials
import Glibc

/// The program under test.
enum Floe {
  /// Beside the test bundle in the build directory, unless `FLOE` names another.
  static let program: String = {
    if let named = getenv("FLOE") { return String(cString: named) }
    return directory(
      of: (try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]) + "/floe"
  }()

  /// The repository that this file was built from.
  static let repository = directory(of: directory(of: directory(of: directory(of: #filePath))))

  private static func directory(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}

/// The first computing device: owns the volume, freezes it, serves it.
final class ProductionHost {
  let scratch: Scratch
  let state: String
  private(set) var service: ChildProcess?

  var socket: String { "\(state)/floe.sock" }

  init(in scratch: Scratch) throws {
    self.scratch = scratch
    state = try scratch.directory("state")
  }

  func source(_ image: String) -> String { "floe+unix:\(socket)/\(image)" }

  func floe(_ arguments: String...) throws -> Outcome {
    try attempt(Floe.program, arguments + ["--state", state])
  }

  /// Freezes a subvolume; returns the path of the snapshot that holds the image.
  @discardableResult
  func freeze(_ path: String, name: String) throws -> String {
    let before = Set(try snapshots(beside: path))
    try run(Floe.program, ["freeze", path, "--name", name, "--state", state])
    let new = try snapshots(beside: path).filter { !before.contains($0) }
    return new.first ?? path
  }

  /// The snapshots in floe's own directory beside a subvolume.
  func snapshots(beside path: String) throws -> [String] {
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? path
    let directory = "\(parent)/.floe"
    guard access(directory, F_OK) == 0 else { return [] }
    return try names(in: directory).map { "\(directory)/\($0)" }
  }

  /// Starts the service and waits until it listens.
  ///
  /// - Parameter port: of the loopback address; `nil` for the socket.
  func serve(on port: Int? = nil) throws {
    let listen = port.map { ["--listen", "127.0.0.1:\($0)"] } ?? []
    let service = try scratch.start(Floe.program, ["serve", "--state", state] + listen)
    self.service = service
    let nothing = port.map { "floe://127.0.0.1:\($0)/nothing" } ?? source("nothing")
    try waitUntil("floe serve answers") {
      if service.hasEnded { throw HarnessError("floe serve ended: \(service.errors)") }
      let answer = try attempt(Floe.program, ["inspect", nothing])
      return !answer.errors.contains("no service answers")
    }
  }

  /// Ends the service the hard way.
  func killService() throws {
    service?.signal(SIGKILL)
    try service?.wait()
    service = nil
  }

  /// Ends the service as an operator would.
  func stopService() throws {
    service?.signal(SIGTERM)
    try service?.wait(seconds: 60)
    service = nil
  }
}

/// The second computing device: mounts an image.
final class BackupHost {
  let mountpoint: String
  let process: ChildProcess
  private let scratch: Scratch

  /// Mounts in the foreground and waits until the mount answers.
  ///
  /// - Parameter prefix: words of a command that runs the program elsewhere.
  init(
    _ source: String, media: [(id: String, path: String)], options: [String] = [],
    within prefix: [String] = [], in scratch: Scratch, name: String = "backup"
  ) throws {
    mountpoint = try scratch.directory(name)
    let chosen = media.flatMap { ["--medium", "\($0.id)=\($0.path)"] }
    self.scratch = scratch
    let words =
      prefix + [Floe.program, "mount", source, mountpoint, "--foreground"] + chosen + options
    process = try scratch.start(words[0], Array(words[1...]))
    try waitUntil("\(mountpoint) is mounted") {
      if process.hasEnded { throw HarnessError("floe mount ended: \(process.errors)") }
      return Self.isMounted(mountpoint)
    }
  }

  /// Mounts with each medium named.
  convenience init(
    _ production: ProductionHost, _ image: String, _ volume: Volume, options: [String] = [],
    name: String = "backup"
  ) throws {
    try self.init(
      production.source(image), media: volume.devices.map { ($0.medium, $0.loop) },
      options: options, in: production.scratch, name: name)
  }

  static func isMounted(_ mountpoint: String) -> Bool {
    let parent = mountpoint.lastIndex(of: "/").map { String(mountpoint[..<$0]) } ?? "/"
    return Scratch.mountpoints(below: parent).contains(mountpoint)
  }

  func status() throws -> Status {
    // It tells by its exit status, too, that reads failed.
    let outcome = try attempt(Floe.program, ["status", mountpoint, "--json"])
    guard outcome.isStatus else { throw HarnessError("floe status: \(outcome.errors)") }
    let text = outcome.output
    do {
      return try JSONDecoder().decode(Status.self, from: Data(text.utf8))
    } catch {
      throw HarnessError("floe status --json: \(error)\n\(text)")
    }
  }

  func unmount() throws {
    try run(Floe.program, ["umount", mountpoint])
    try process.wait(seconds: 60)
  }
}

extension Outcome {
  /// Whether `floe status` told something: 0, 2 or 3.
  var isStatus: Bool { [.exited(0), .exited(2), .exited(3)].contains(ending) }
}

/// What `floe status --json` tells, as far as the tests look at it.
struct Status: Decodable {
  struct Failure: Decodable {
    let reason: String
    let count: UInt64
    let last_seconds: Int64
  }

  struct ProductionHost: Decodable {
    let reachable: Bool
    let silent_since_seconds: Int64?
  }

  struct Bytes: Decodable {
    let storage: UInt64
    let production_host: UInt64
    let representation: UInt64
  }

  struct Answers: Decodable {
    let storage: UInt64
    let production_host: UInt64
    let compared: UInt64?
  }

  let image: String
  let answers: Answers
  let configuration_id: String
  let reads: UInt64
  let remaps: UInt64
  let discarded_reads: UInt64
  let witness_checks: UInt64
  let errors: UInt64
  let bytes: Bytes
  let state: String
  let failures: [Failure]
  let production_host: ProductionHost
}

/// Keeps a volume's blocks moving (Tests/EndToEndTests/mover).
final class Mover {
  private let process: ChildProcess
  private let log: String

  init(_ process: ChildProcess, log: String) {
    self.process = process
    self.log = log
  }

  convenience init(_ volume: Volume, work: [String] = []) throws {
    let log = "\(volume.scratch.path)/mover.log"
    self.init(
      try volume.scratch.start(
        "\(Floe.repository)/Tests/EndToEndTests/mover/mover", [volume.mountpoint, log] + work),
      log: log)
  }

  /// How many turns of a work were finished so far.
  func turns(of work: String) -> Int {
    let text = (try? readFile(log)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    return text.split(separator: "\n").count { $0 == work }
  }

  /// Waits until more turns of a work are finished.
  func waitForTurns(_ count: Int, of work: String = "balance") throws {
    let target = turns(of: work) + count
    try waitUntil("\(count) more turns of \(work)", seconds: 300) {
      if process.hasEnded { throw HarnessError("the mover ended: \(process.errors)") }
      return turns(of: work) >= target
    }
  }

  /// Ends the mover alone: its workers end between two of their commands.
  func stop() throws {
    kill(process.identifier, SIGTERM)
    try process.wait(seconds: 300)
  }
}
