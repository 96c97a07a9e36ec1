import CLinuxIO
public import FrozenImage
import Glibc
import SystemPackage

/// Waits for everybody who writes to a file system, by freezing it for a moment
/// (FIFREEZE and FITHAW, linux/fs.h).
///
/// A sync waits for data that is known to be on its way. A direct writer that has
/// decided where to write, and has not said so yet, escapes it. A freeze lets nobody
/// begin to write and waits for all who have begun (`sb_wait_write` in `freeze_super`,
/// fs/super.c), so whatever lands later was begun later.
///
/// Nothing must keep the file system frozen, whatever becomes of this process. So a
/// second process stands guard (`ThawGuard`), and between freezing and thawing this one
/// does nothing at all: its own log, or what it runs from, may lie on the file system.
public struct WriterBarrier: Sendable {
  /// Why it is not known that nobody writes any more: one sentence.
  public struct Failure: CodedError {
    public let code = ErrorCode.inUse
    public let description: String
  }

  /// The first argument of a program that is to stand guard.
  public static let guardCommand = "thaw-guard"

  private let program: String
  /// How long another one's freeze is waited for.
  private let patience: UInt64

  /// - Parameters:
  ///   - program: what is started as `PROGRAM thaw-guard DIRECTORY`, and is to call
  ///     `ThawGuard.stand` then.
  ///   - patience: nanoseconds that another one's freeze of the file system is waited for.
  public init(program: String = "/proc/self/exe", patience: UInt64 = 30_000_000_000) {
    self.program = program
    self.patience = patience
  }

  /// Returns once everybody has written who had begun to when it was called. Who begins
  /// meanwhile waits until then.
  ///
  /// - Parameters:
  ///   - directory: an open directory of the file system.
  ///   - path: of the directory, for messages.
  /// - Throws: `Failure` when the kernel does not freeze it, or somebody else keeps it
  ///   frozen.
  public func pass(_ directory: Int32, path: String) throws(Failure) {
    var ends: [Int32] = [-1, -1]
    guard floe_socket_pair(&ends) == 0 else {
      throw Failure(description: "no pair of sockets can be made: \(Errno.current)")
    }
    let child = ChildProcess.spawn(
      program, [program, Self.guardCommand, "/proc/\(getpid())/fd/\(directory)"],
      flags: floe_posix_spawn_setsid(), keeping: ends[1], isMute: true)
    close(ends[1])
    guard let child else {
      close(ends[0])
      throw noGuard(path)
    }
    defer {
      close(ends[0])
      _ = ChildProcess.wait(for: child)
    }
    var answer: UInt8 = 0
    guard read(ends[0], &answer, 1) == 1, answer == ThawGuard.Word.ready.rawValue else {
      throw noGuard(path)
    }
    defer { ThawGuard.Word.done.send(ends[0]) }
    try freezeAndThaw(directory, path, guarded: ends[0])
  }

  private func freezeAndThaw(
    _ directory: Int32, _ path: String, guarded socket: Int32
  ) throws(Failure) {
    let deadline = MonotonicClock.now() + patience
    while true {
      ThawGuard.Word.freezing.send(socket)
      if floe_freeze(directory) == 0 {
        // The guard may have been faster: then there is nothing to thaw.
        _ = floe_thaw(directory)
        return
      }
      let error = Errno.current
      ThawGuard.Word.notFrozen.send(socket)
      guard error == .resourceBusy || error == .interrupted else {
        throw Failure(
          description: "writes to \(path) that have begun cannot be waited for, as its file "
            + "system cannot be frozen (FIFREEZE): \(error)")
      }
      guard MonotonicClock.now() < deadline else {
        throw Failure(
          description: "somebody else keeps the file system of \(path) frozen (FIFREEZE); when it "
            + "is to be thawed, run: fsfreeze --unfreeze \(path)")
      }
      usleep(100_000)
    }
  }

  private func noGuard(_ path: String) -> Failure {
    Failure(
      description: "the file system of \(path) is not frozen, as the process that would thaw it "
        + "in any case cannot be started")
  }
}
