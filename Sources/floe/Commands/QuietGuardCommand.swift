import ArgumentParser
import Freezing

/// What `floe backup` starts beside itself while applications rest; nothing that a user runs.
struct QuietGuardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: QuietGuard.command,
    abstract: "Have applications rest for a moment, and go on whatever happens.",
    shouldDisplay: false)

  @Option(help: "The hook before the freeze.")
  var before = ""

  @Option(help: "The hook behind it.")
  var behind = ""

  @Option(help: "Seconds.")
  var limit: UInt32

  func run() throws {
    throw SilentExit(
      status: QuietGuard.stand(
        before: before, behind: behind, limit: UInt64(limit) * 1_000_000_000))
  }
}
