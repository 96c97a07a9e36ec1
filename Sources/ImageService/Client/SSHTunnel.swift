import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import SystemPackage

/// The user's own ssh(1), which carries a socket of the production host here.
///
/// It is started again when it ends, and ends with this process. It asks nobody for a password:
/// keys, agents and known hosts are those that `ssh HOST` uses. It may carry a socket of this host
/// there as well, under a new name with each start, as sshd leaves the old one.
final class SSHTunnel: Sendable {
  /// The socket on this host.
  let path: String
  private let directory: String
  private let service: SSHService
  private let brought: BroughtSocket?
  private let state = Monitor(State())

  private struct State {
    var process: Int32?
    /// What ssh said last, since it was started last.
    var said: String?
    /// How often it ended.
    var endings = 0
    /// How often it was started.
    var starts = 0
    var isClosed = false
  }

  /// The command of the program that becomes ssh(1).
  package static let command = "ssh-tunnel"
  /// Nanoseconds for which the first connection may take.
  private static let patience: UInt64 = 60_000_000_000
  /// Nanoseconds between two starts: at first, and at the most.
  private static let pauses: (first: UInt64, most: UInt64) = (500_000_000, 15_000_000_000)

  /// Starts ssh and waits until the socket is here. Blocks.
  ///
  /// - Parameter brought: a socket of this host that is to be found there.
  /// - Throws: `ServiceError.unreachable` with what ssh said.
  init(to service: SSHService, bringing brought: BroughtSocket? = nil) throws(ServiceError) {
    self.service = service
    self.brought = brought
    guard let directory = Self.makeDirectory() else {
      throw .unreachable(
        .ssh(service), reason: "no directory can be made for its socket: \(Errno(rawValue: errno))")
    }
    self.directory = directory
    path = "\(directory)/floe.sock"
    do throws(Errno) {
      try Thread.detach { [self] in supervise() }
    } catch {
      rmdir(directory)
      throw .unreachable(.ssh(service), reason: "no thread can be started for it: \(error)")
    }
    do throws(ServiceError) {
      try waitForSocket()
    } catch {
      close()
      throw error
    }
  }

  /// Ends ssh.
  func close() {
    state.withLock { state in
      state.isClosed = true
      // Its number is its own for as long as it stands here.
      if let process = state.process { kill(process, SIGTERM) }
    }
    state.notifyAll()
    // The thread does it too, if the process lives long enough.
    unlink(path)
    rmdir(directory)
  }

  /// Where the socket of this host is found there at present; `nil` without one.
  var broughtPath: String? { state.withLock { state in brought?.path(start: state.starts) } }

  /// What ssh said last; `nil` when it said nothing since it was started last.
  var problem: String? { state.withLock { $0.said } }

  private func waitForSocket() throws(ServiceError) {
    let deadline = MonotonicClock.now() + Self.patience
    while access(path, F_OK) != 0 {
      let (said, endings) = state.withLock { ($0.said, $0.endings) }
      guard endings == 0 else {
        throw .unreachable(.ssh(service), reason: said ?? "ssh ended and did not say why")
      }
      guard MonotonicClock.now() < deadline else {
        throw .unreachable(.ssh(service), reason: said ?? "ssh did not connect in time")
      }
      usleep(20_000)
    }
  }

  // MARK: - On a thread of its own, with which ssh ends as well

  private func supervise() {
    var pause = Self.pauses.first
    while !state.withLock({ $0.isClosed }) {
      let began = MonotonicClock.now()
      runOnce()
      // A connection that stood for a while says nothing of the next one.
      if MonotonicClock.now() - began > 2 * Self.pauses.most { pause = Self.pauses.first }
      let next = MonotonicClock.now() + pause
      state.wait { state in
        state.isClosed || MonotonicClock.now() >= next ? .done(()) : .waitUntil(next)
      }
      pause = min(pause * 2, Self.pauses.most)
    }
    unlink(path)
    rmdir(directory)
  }

  /// Runs ssh to its end.
  private func runOnce() {
    var pipe: [Int32] = [0, 0]
    guard Glibc.pipe(&pipe) == 0 else { return note("no pipe can be made for ssh") }
    defer { Glibc.close(pipe[0]) }
    for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    unlink(path)
    let start = state.withLock { state in
      state.starts += 1
      return state.starts
    }
    let child = ChildProcess.spawn(
      "/proc/self/exe", ["floe", Self.command, "\(getpid())"] + arguments(start: start),
      flags: floe_posix_spawn_setsid(), isMute: true, output: pipe[1], joinsErrors: true)
    Glibc.close(pipe[1])
    guard let child else { return note("ssh cannot be started") }
    let isUnwanted = state.withLock { state in
      state.process = child
      state.said = nil
      return state.isClosed
    }
    if isUnwanted { kill(child, SIGTERM) }
    listen(to: pipe[0], of: child)
    // The number belongs to ssh until it was waited for.
    state.withLock { $0.process = nil }
    _ = ChildProcess.wait(for: child)
    state.withLock { $0.endings += 1 }
    state.notifyAll()
  }

  /// Notes each line that ssh says, until it has ended: a program that it started, such as a
  /// proxy, may keep the pipe open for longer.
  private func listen(to output: Int32, of child: Int32) {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while true {
      var request = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      if poll(&request, 1, 500) == 0 {
        if ChildProcess.hasEnded(child) { break }
        continue
      }
      let count = read(output, &byte, 1)
      if count < 0, errno == EINTR { continue }
      guard count == 1 else { break }
      if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
        if !line.isEmpty { note(PathText.text(of: line)) }
        line = []
      } else if line.count < 1000 {
        line.append(byte)
      }
    }
    if !line.isEmpty { note(PathText.text(of: line)) }
  }

  private func note(_ line: String) { state.withLock { $0.said = line } }

  private func arguments(start: Int) -> [String] {
    let options = [
      // Not ExitOnForwardFailure: the user may have forwards of another session for this host.
      "BatchMode=yes", "ExitOnForwardFailure=no", "StreamLocalBindUnlink=yes",
      "IgnoreUnknown=ForkAfterAuthentication", "ForkAfterAuthentication=no",
      // A connection of its own, which ends with this process, and shows when the line is dead.
      "ControlMaster=no", "ControlPath=none", "ServerAliveInterval=5", "ServerAliveCountMax=3",
      "ConnectTimeout=15", "ForwardAgent=no", "ForwardX11=no", "PermitLocalCommand=no",
      "RemoteCommand=none", "RequestTTY=no",
    ]
    let back = brought.map { ["-R", "\($0.path(start: start)):\($0.socket)"] } ?? []
    return ["-N", "-T"] + options.flatMap { ["-o", $0] } + back
      + ["-L", "\(path):\(service.socket)", "--", "ssh://\(service.authority)"]
  }

  /// A directory for the socket that nobody else may enter.
  private static func makeDirectory() -> String? {
    let own = getenv("XDG_RUNTIME_DIR").map { String(cString: $0) }
    for base in [own, "/run", "/tmp"].compactMap({ $0 }) where base.hasPrefix("/") {
      // One of another user's (su and sudo may leave it set) is that user's to change.
      var status = stat()
      guard stat(base, &status) == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
        continue
      }
      var template = Array("\(base)/floe-ssh.XXXXXX".utf8CString)
      if mkdtemp(&template) != nil {
        return String(
          decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
    }
    return nil
  }
}

/// A Unix socket of this host that ssh(1) makes appear on another one.
struct BroughtSocket: Sendable {
  /// On this host.
  let socket: String
  /// The other host's directory for it.
  let directory: String
  /// What tells it there from those of others.
  let name: String

  /// Its path there, when ssh was started so often.
  func path(start: Int) -> String { "\(directory)/\(name)-\(start).sock" }
}
