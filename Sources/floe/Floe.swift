import ArgumentParser
import FrozenImage
import Glibc
import HostSystem
import ImageAccess

/// The program.
@main
struct Floe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "floe",
    abstract: "Back up frozen images straight from shared storage, off the production host.",
    discussion: """
      On the production host: floe freeze, floe serve, floe images, floe thaw, floe backup.
      For floe backup, on the backup host: floe agent, floe jobs.
      On the backup host: floe images, floe mount, floe status, floe umount; without a mount, floe list, \
      floe find, floe diff, floe restore; to look closer, floe explain, floe inspect, floe verify; \
      what is wrong with a host, floe doctor.
      """,
    version: floeVersion,
    subcommands: [
      Freeze.self, Serve.self, Images.self, Thaw.self, Backup.self,
      Agent.self, JobsCommand.self,
      Mount.self, Unmount.self, Status.self, List.self, Find.self, Diff.self, Restore.self,
      Inspect.self, Explain.self, Verify.self, Doctor.self,
      SnapshotGuardCommand.self, ThawGuardCommand.self, SSHTunnelCommand.self,
      QuietGuardCommand.self, JobProcessCommand.self,
    ])

  static func main() {
    // A reader that goes away must end a call, not the program.
    signal(SIGPIPE, SIG_IGN)
    let isHelper = MountHelper.isMeant(by: ProgramArguments.all)
    guard !MountHelper.isFake(ProgramArguments.all) else { return }
    var command: (any ParsableCommand)?
    do {
      command = try parsed(MountHelper.arguments(from: ProgramArguments.all))
      try command?.run()
    } catch let exit as SilentExit {
      Glibc.exit(exit.status)
    } catch let interrupted as Interrupted {
      report(interrupted, of: command)
      interrupted.endProcess()
    } catch  where isOurs(error) {
      report(error, of: command)
      printError("floe: \(error)")
      Glibc.exit(isHelper ? MountHelper.failure : EXIT_FAILURE)
    } catch {
      end(with: error, status: isHelper ? MountHelper.wrongCall : nil)
    }
  }

  /// Tells programs why a command failed, where its report would have been JSON.
  private static func report(_ error: any Error, of command: (any ParsableCommand)?) {
    if let command = command as? any JSONReporting, command.json {
      print(JSON.text(of: ErrorReport(error)))
      fflush(nil)
    }
  }

  /// Whether an error comes from a module of floe, rather than from the parser.
  private static func isOurs(_ error: any Error) -> Bool {
    exitCode(for: error) == .failure && !(error is CleanExit) && !(error is ExitCode)
  }

}
