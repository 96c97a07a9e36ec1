import ArgumentParser
import FrozenImage
import Glibc
import HostSystem

struct Unmount: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "umount", abstract: "Unmount an image.",
    discussion: "Also cleans up after a mount process that was killed.")

  @Argument(help: "Where the image is mounted.")
  var mountpoint: String

  @Flag(name: .shortAndLong, help: "Detach the mount now, even if it is in use.")
  var lazy = false

  func run() throws {
    guard MountTable.hasFloe(at: mountpoint) else {
      throw Failure(.notFound, "no image is mounted on \(mountpoint)")
    }
    let process = (try? MountTable.control(ControlAttributes.status, of: mountpoint))
      .flatMap { JSON.report(StatusReport.self, from: $0) }?.pid
    // Who still has files of a dead mount open gets nothing from them any more, so
    // nothing is lost by detaching it.
    let isDead = MountTable.isDead(mountpoint)
    try MountTable.unmount(mountpoint, lazily: lazy || isDead)
    // The process ends its session with the production host before it exits; after
    // that the image can be thawed. What the kernel read ahead may still wait for a
    // mapping first, for as long as a read may (`--remap-timeout`).
    guard let process, process > 1, !lazy else { return }
    for _ in 0..<12_000 {
      if kill(process, 0) != 0 || Self.isZombie(process) { return }
      usleep(10_000)
    }
    throw Failure(
      .inUse, "\(mountpoint) is unmounted, but its process \(process) has not ended its session yet"
    )
  }

  /// Whether a process has ended and only waits for its parent (proc(5), stat).
  private static func isZombie(_ process: pid_t) -> Bool {
    guard let file = fopen("/proc/\(process)/stat", "r") else { return true }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 512)
    guard fgets(&line, Int32(line.count), file) != nil else { return true }
    let bytes = line.map { UInt8(bitPattern: $0) }
    guard let end = bytes.lastIndex(of: UInt8(ascii: ")")), end + 2 < bytes.count else {
      return false
    }
    return bytes[end + 2] == UInt8(ascii: "Z")
  }
}
