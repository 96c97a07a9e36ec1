import ArgumentParser
import CLinuxIO
import Glibc
import HostSystem
import ImageService

/// What floe starts for each line over ssh(1): it becomes ssh, which then ends when the
/// thread ends that started it; nothing that a user runs.
struct SSHTunnelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: ServiceConnection.tunnelCommand,
    abstract: "Become ssh(1), which ends with the process that started it.", shouldDisplay: false)

  @Argument(help: "The process that started it.")
  var parent: Int32

  @Argument(parsing: .captureForPassthrough, help: "What ssh gets.")
  var words: [String] = []

  func run() throws {
    // Not to be inherited from a thread that has signals blocked.
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
    signal(SIGPIPE, SIG_DFL)
    guard floe_end_with_parent(SIGTERM) == 0, getppid() == parent else {
      throw SilentExit(status: EXIT_FAILURE)
    }
    var vector: [UnsafeMutablePointer<CChar>?] = (["ssh"] + words).map { strdup($0) } + [nil]
    execvp("ssh", &vector)
    printError("ssh cannot be started: \(String(cString: strerror(errno)))")
    throw SilentExit(status: EXIT_FAILURE)
  }
}
