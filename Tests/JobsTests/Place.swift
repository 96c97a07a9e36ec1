import FrozenImage
import Glibc
import HostSystem
import Synchronization
import Testing

@testable import Jobs

/// Notes what is mounted, and mounts nothing.
final class Mounts: ImageMounter {
  let mounted = Mutex<Set<String>>([])
  let refuses: Bool
  let stays: Bool

  /// - Parameters:
  ///   - refuses: whether nothing can be mounted.
  ///   - stays: whether nothing can be unmounted.
  init(refuses: Bool = false, stays: Bool = false) {
    self.refuses = refuses
    self.stays = stays
  }

  func mount(
    _ image: RunImage, from socket: String, at directory: String, options: [String],
    isForOthers: Bool
  ) throws(Failure) {
    if refuses { throw Failure(.medium, "no medium is found") }
    mounted.withLock { _ = $0.insert(directory) }
  }

  func counts(at directory: String) -> ReadCounts? {
    var counts = ReadCounts()
    counts.reads = 7
    return mounted.withLock { $0.contains(directory) } ? counts : nil
  }

  func unmount(_ directory: String) throws(Failure) {
    if stays, mounted.withLock({ $0.contains(directory) }) {
      throw Failure(.inUse, "\(directory) is mounted still")
    }
    mounted.withLock { _ = $0.remove(directory) }
  }

  func abort(_ directory: String) { mounted.withLock { _ = $0.remove(directory) } }

  func mounts(below directory: String) -> [String] {
    mounted.withLock { $0.filter { $0.hasPrefix("\(directory)/") } }
  }
}

/// An agent's directories, and a socket that something listens on.
final class Place: @unchecked Sendable {
  // Unchecked: `limit` is set before anything runs.
  let path: String
  let socket: String
  /// Of the history.
  var limit = 2000
  private let listening: Int32

  init() throws {
    var template = Array("/tmp/floe-jobs.XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    path = String(
      decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    mkdir("\(path)/in", 0o700)
    let name = "\(path)/service.sock"
    socket = name
    listening = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(name.utf8)) }
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listening, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(bound == 0 && listen(listening, 10) == 0)
  }

  deinit {
    close(listening)
    _ = ChildProcess.run("rm", ["rm", "-rf", path])
  }

  var history: RunHistory { RunHistory(directory: "\(path)/state", limit: limit) }

  func runner(_ text: String, _ mounts: Mounts) throws -> JobRunner {
    let configuration = try AgentConfiguration(text: "mounts = \"\(path)/mnt\"\n\(text)")
    let runner = JobRunner(
      configuration, history: history, mounter: mounts, incoming: "\(path)/in",
      launch: { _, command, run, directory in
        ("env", ["env", "-C", directory, "\(RunProcesses.variable)=\(run)"] + command)
      })
    return runner
  }

  func request(_ job: String, images: [String] = ["data"]) throws -> RunRequest {
    // The socket's name of one connection of ssh, which goes with the run.
    let id = UniqueIdentifier.random()
    let brought = "\(path)/in/\("\(id)".prefix(13)).sock"
    try #require(link(socket, brought) == 0)
    return try RunRequest(
      id: id, job: job, host: "prod", images: images.map { RunImage(id: .random(), label: $0) },
      socket: brought)
  }
}

/// Waits until nothing of a run is left but its record. Others need the pool's threads meanwhile.
func end(of run: RunRequest, in runner: JobRunner) async throws -> JobRunner.News {
  let limit = MonotonicClock.now() + 60_000_000_000
  while MonotonicClock.now() < limit {
    let news = try #require(runner.news(of: run.id, from: 0))
    if news.record.isOver, runner.isSettled(run.id) { return news }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw Failure(.failed, "the run does not end")
}

/// A runner that takes what it is asked for.
func started(_ place: Place, _ text: String, _ mounts: Mounts = Mounts()) throws
  -> JobRunner
{
  let runner = try place.runner(text, mounts)
  #expect(try runner.recover().isEmpty)
  try runner.start()
  return runner
}
