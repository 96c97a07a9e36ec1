import ArgumentParser
import LogicalVolumeProvider

/// What `floe freeze` starts beside itself, for the moment in which lvm2 makes a snapshot;
/// nothing that a user runs.
struct SnapshotGuardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: SuspensionGuard.command,
    abstract: "Run lvcreate, and let the origin go on in any case.", shouldDisplay: false)

  @Argument(help: "The number of the origin's device.")
  var device: String

  @Argument(help: "Seconds after which it goes on.")
  var limit: UInt32

  @Argument(parsing: .postTerminator, help: "The command.")
  var words: [String]

  func run() throws {
    throw SilentExit(
      status: SuspensionGuard.stand(
        over: device, limit: UInt64(limit) * 1_000_000_000, running: words))
  }
}
