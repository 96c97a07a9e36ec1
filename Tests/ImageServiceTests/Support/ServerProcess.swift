import Catalogue
import Glibc
import HostSystem
import ImageService
import SystemPackage
import Testing

/// A service in a process of its own, so that it can be killed.
///
/// The process is this very test program, told by its environment to run one "test"
/// that serves until it is killed.
final class ServerProcess: Sendable {
  static let variable = "FLOE_TEST_SERVE_STATE"
  private let process: pid_t

  init(serving stateDirectory: FilePath) throws {
    let program = try #require(realpath("/proc/self/exe", nil))
    defer { free(program) }
    let arguments = [
      String(cString: program), "--testing-library", "swift-testing", "--filter",
      "ServerProcessTests",
    ]
    var argv = arguments.map { strdup($0) } + [nil]
    defer { argv.forEach { free($0) } }
    // Not this process's own environment: other tests start services as well.
    var environment = [strdup("\(Self.variable)=\(stateDirectory)"), nil]
    defer { environment.forEach { free($0) } }
    var child = pid_t()
    let result = posix_spawn(&child, program, nil, nil, &argv, &environment)
    try #require(result == 0, "posix_spawn: \(Errno(rawValue: result))")
    process = child
  }

  /// SIGKILL, and gone when this returns.
  func kill() {
    Glibc.kill(process, SIGKILL)
    waitpid(process, nil, 0)
  }

  /// Bytes of anonymous memory (proc(5), RssAnon).
  func memory() throws -> Int {
    let file = try FileDescriptor.open("/proc/\(process)/status", .readOnly)
    let status = String(decoding: try content(of: file), as: UTF8.self)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
    let words = line.split(whereSeparator: \.isWhitespace)
    return try #require(words.dropFirst().first.flatMap { Int($0) }) << 10
  }

  deinit { kill() }
}

@Suite struct ServerProcessTests {
  /// Does nothing, unless it is the body of a `ServerProcess`.
  @Test func serveUntilKilled() async throws {
    guard let state = getenv(ServerProcess.variable).map({ FilePath(String(cString: $0)) }) else {
      return
    }
    // Not to outlive the test, however that ends.
    let parent = getppid()
    try Thread.detach {
      while getppid() == parent { usleep(100_000) }
      _exit(1)
    }
    let service = try await TestService(
      Catalogue(directory: state), image: MemoryImage(bytes: [1, 2, 3]))
    try await service.end()
  }
}
