import ArgumentParser
import HostSystem

/// What `floe freeze` starts beside itself, for the moment in which it freezes a file
/// system; nothing that a user runs.
struct ThawGuardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: WriterBarrier.guardCommand,
    abstract: "Thaw a file system when the process that froze it for a moment is gone.",
    shouldDisplay: false)

  @Argument(help: "A directory of the file system.")
  var directory: String

  func run() throws {
    throw SilentExit(status: ThawGuard.stand(over: directory))
  }
}
