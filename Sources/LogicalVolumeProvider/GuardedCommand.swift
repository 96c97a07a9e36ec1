import CLinuxIO
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A command of lvm2 that suspends an origin, run by a process that stands guard.
struct GuardedCommand {
  /// The command and its arguments.
  let words: [String]
  /// The origin's.
  let device: DeviceNumber
  /// Seconds after which the quiet time is ended.
  let quietLimit: UInt64
  /// What is started as `PROGRAM snapshot-guard …`, and is to call `SuspensionGuard.stand` then.
  var program = "/proc/self/exe"

  /// Runs it to its end.
  ///
  /// - Throws: `StackError` when there is no guard.
  func run() throws(StackError) -> SuspensionGuard.Outcome {
    var ends: [Int32] = [-1, -1]
    guard floe_socket_pair(&ends) == 0 else {
      throw StackError(cannot: "make a pair of sockets", Errno(rawValue: errno))
    }
    defer { close(ends[0]) }
    let child = ChildProcess.spawn(
      program, [program, SuspensionGuard.command, "\(device)", "\(quietLimit)", "--"] + words,
      flags: floe_posix_spawn_setsid(), keeping: ends[1], isMute: true)
    close(ends[1])
    guard let child else { throw noGuard }
    var line: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 8192)
    while true {
      let count = read(ends[0], &room, room.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      line += room[..<count]
    }
    _ = ChildProcess.wait(for: child)
    guard let outcome = SuspensionGuard.Outcome(String(decoding: line, as: UTF8.self)) else {
      throw noGuard
    }
    return outcome
  }

  private var noGuard: StackError {
    StackError(
      .failed,
      "the process that runs \(words.first ?? "lvm2"), and lets the file system go on in any case, "
        + "cannot be started or ended early (it takes root and /dev/mapper/control)")
  }
}
