import CLinuxIO
import FrozenImage
import Glibc
import HostSystem

/// The time in which applications rest, so that several data sets are frozen as of one moment.
package final class QuietPeriod {
  /// What became of it.
  package struct Outcome: Hashable, Sendable {
    /// Nanoseconds from the begin of the hook before to the end of the hook behind.
    package let nanoseconds: UInt64
    /// Whether the applications went on before everything was frozen.
    package let wasForced: Bool
    /// What went wrong with the hook behind, or with the guard.
    package let problem: String?
    /// Whether the guard was ended by somebody: nobody knows for how long the applications rested.
    package var isGuardGone = false
  }

  private let socket: Int32
  private let child: Int32
  private let behind: String?
  /// Nanoseconds.
  private let limit: UInt64

  /// Has the applications rest. Blocks until they do.
  ///
  /// - Parameters:
  ///   - before: the command that has applications rest.
  ///   - behind: the command that has them go on.
  ///   - limit: seconds after which the hook behind runs in any case.
  ///   - program: that becomes the guard.
  /// - Throws: `Failure` when they do not rest, `Interrupted`; the hook behind ran then.
  package init(
    before: String?, behind: String?, limit: UInt32, program: String = "/proc/self/exe"
  ) throws {
    var ends: [Int32] = [-1, -1]
    guard floe_socket_pair(&ends) == 0 else { throw Failure(.noRoom, "no socket can be made") }
    let child = ChildProcess.spawn(
      program,
      ["floe", QuietGuard.command, "--limit", "\(limit)"]
        + (before.map { ["--before=\($0)"] } ?? []) + (behind.map { ["--behind=\($0)"] } ?? []),
      flags: floe_posix_spawn_setsid(), keeping: ends[1])
    close(ends[1])
    guard let child else {
      close(ends[0])
      throw Failure(.failed, "the guard of the quiet time cannot be started")
    }
    socket = ends[0]
    self.child = child
    self.behind = behind
    self.limit = UInt64(limit) * 1_000_000_000
    let report: QuietGuard.Report?
    do throws(Interrupted) { report = try Self.report(from: socket, canBeInterrupted: true) } catch
    {
      // The guard sees it, ends the hook, and runs the other one.
      _ = shutdown(socket, Int32(SHUT_RDWR))
      _ = ChildProcess.wait(for: child)
      throw error
    }
    switch report {
    case .held: break
    case .refused(let reason): throw Failure(.failed, "nothing was frozen: \(reason)")
    default: throw Failure(.failed, "nothing was frozen: \(runBehind())")
    }
  }

  deinit {
    close(socket)
    _ = ChildProcess.wait(for: child)
  }

  /// Has the applications go on. Blocks until they do.
  package func end() -> Outcome {
    var byte: UInt8 = 1
    _ = send(socket, &byte, 1, Int32(MSG_NOSIGNAL))
    let report = try? Self.report(from: socket, canBeInterrupted: false)
    guard case .ended(let time, let wasForced, let hook)? = report else {
      return Outcome(nanoseconds: 0, wasForced: true, problem: runBehind(), isGuardGone: true)
    }
    return Outcome(nanoseconds: time, wasForced: wasForced, problem: hook.isEmpty ? nil : hook)
  }

  /// Runs the hook behind for a guard that is gone, which may have run it already.
  ///
  /// - Returns: what became of that, as one sentence.
  private func runBehind() -> String {
    let gone = "the guard of the quiet time was ended"
    guard let behind, !behind.isEmpty else { return gone }
    let problem = QuietGuard.sentence(
      Hook(command: behind).run(until: MonotonicClock.now() + limit), limit,
      of: "the hook behind the freeze")
    return problem.map { "\(gone), and \($0)" }
      ?? "\(gone); the hook behind the freeze was run without it"
  }

  /// - Returns: `nil` when the guard is gone.
  private static func report(
    from socket: Int32, canBeInterrupted: Bool
  ) throws(Interrupted) -> QuietGuard.Report? {
    var line: [UInt8] = []
    while true {
      if canBeInterrupted { try Interruption.check() }
      var request = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard poll(&request, 1, 200) > 0 else { continue }
      var byte: UInt8 = 0
      guard read(socket, &byte, 1) == 1 else { return nil }
      if byte == UInt8(ascii: "\n") {
        return QuietGuard.Report(Substring(String(decoding: line, as: UTF8.self)))
      }
      line.append(byte)
    }
  }
}
