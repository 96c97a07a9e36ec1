import CFileMap
import CLinuxIO
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// Has lvm2 make a snapshot, under guard.
struct SnapshotMaker {
  let plan: SnapshotPlan
  /// Where the origin is mounted.
  let mountpoint: String
  /// Seconds after which the quiet time is ended.
  let quietLimit: UInt64
  /// What is started as `PROGRAM snapshot-guard …`, and is to call `SuspensionGuard.stand` then.
  var program = "/proc/self/exe"

  /// - Returns: nanoseconds for which nobody could write; `nil` when that was not seen, as it
  ///   was over at once.
  /// - Throws: `StackError` when there is no snapshot of a moment at which nobody wrote.
  func make(_ image: UniqueIdentifier) throws(StackError) -> UInt64? {
    try sync()
    let outcome = try guarded(plan.words(for: image))
    let origin = plan.origin.title
    guard outcome.status == 0 else {
      throw StackError(.failed, "lvcreate made no snapshot of \(origin): \(outcome.output)")
    }
    guard !outcome.wasForced else {
      throw StackError(
        .inUse,
        "the file system of \(origin) stood still for more than \(quietLimit) s while its snapshot "
          + "was made, so it was set going again and the snapshot is removed: try again when the "
          + "disks are less busy, or allow more (--quiet-limit)")
    }
    // One that has its own room is active as its origin is.
    if plan.origin.pool != nil {
      try LVMCommand.change([
        "lvchange", "--yes", "--activate", "y", "--ignoreactivationskip",
        "\(plan.origin.group)/\(SnapshotPlan.name(of: image))",
      ])
    }
    return outcome.quiet > 0 ? outcome.quiet : nil
  }

  /// What is cached goes to the media while others may still write: lvm2 has the file system
  /// write the rest while nobody can, and the device does not yet tell that it is suspended.
  private func sync() throws(StackError) {
    let directory = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else {
      throw StackError(cannot: "open \(mountpoint)", Errno(rawValue: errno))
    }
    defer { close(directory) }
    guard cfilemap_sync(directory) == 0 else {
      throw StackError(cannot: "write \(mountpoint) to its device", Errno(rawValue: errno))
    }
  }

  private func guarded(_ words: [String]) throws(StackError) -> SuspensionGuard.Outcome {
    var ends: [Int32] = [-1, -1]
    guard floe_socket_pair(&ends) == 0 else {
      throw StackError(cannot: "make a pair of sockets", Errno(rawValue: errno))
    }
    defer { close(ends[0]) }
    let child = ChildProcess.spawn(
      program,
      [program, SuspensionGuard.command, "\(plan.origin.device)", "\(quietLimit)", "--"] + words,
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
      "the process that makes the snapshot of \(plan.origin.title), and lets its file system go on "
        + "in any case, cannot be started or ended early (it takes root and /dev/mapper/control)")
  }
}
