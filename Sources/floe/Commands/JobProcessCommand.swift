import ArgumentParser
import CLinuxIO
import Glibc
import HostSystem
import Jobs

/// What `floe agent` starts for each job: it takes the job's rights and becomes the job, which
/// then ends when the thread ends that started it; nothing that a user runs.
struct JobProcessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "job-process", abstract: "Become the command of a job.", shouldDisplay: false)

  @Option(help: "The process that started it.")
  var parent: Int32

  @Option(name: .customLong("run"), help: "The run.")
  var identifier: String

  @Option(help: "The directory in which it runs.")
  var directory: String

  @Option(help: "The user whose rights it takes.")
  var user: String?

  @Argument(parsing: .captureForPassthrough, help: "The command.")
  var words: [String] = []

  func run() throws {
    var none = sigset_t()
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, nil)
    for number in [SIGPIPE, SIGCHLD, SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    setenv(RunProcesses.variable, identifier, 1)
    if let user { try take(user) }
    // Last: the kernel forgets it with a change of rights (prctl(2)).
    guard floe_end_with_parent(SIGKILL) == 0, getppid() == parent else {
      throw SilentExit(status: EXIT_FAILURE)
    }
    guard chdir(directory) == 0 else {
      try fail("its user may not enter \(directory)")
      return
    }
    // The words behind the marker that ends the options.
    let command = words.first == "--" ? Array(words.dropFirst()) : words
    guard let program = command.first else { return try fail("it has no command") }
    var vector: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    execvp(program, &vector)
    try fail("\(program) cannot be started")
  }

  private func take(_ user: String) throws {
    guard let entry = getpwnam(user) else { return try fail("there is no user \(user)") }
    let (uid, gid) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    let home = entry.pointee.pw_dir.map { String(cString: $0) }
    guard uid != geteuid() else { return }
    guard initgroups(user, gid) == 0, setgid(gid) == 0, setuid(uid) == 0 else {
      return try fail("the rights of \(user) cannot be taken")
    }
    setenv("USER", user, 1)
    setenv("LOGNAME", user, 1)
    if let home { setenv("HOME", home, 1) }
  }

  /// - Throws: always.
  private func fail(_ reason: String) throws {
    let error = errno
    printError(
      "floe: the job cannot run: \(reason)"
        + (error == 0 ? "" : ": \(String(cString: strerror(error)))"))
    throw SilentExit(status: 125)
  }
}
