import Glibc

/// A real sshd on a port of this host's loopback, with keys made for one test, and an ssh that
/// knows them.
final class SecureShellServer {
  let port: Int
  /// A command that runs another one with that ssh on its path.
  let prefix: [String]
  private let scratch: Scratch
  private let directory: String
  private var process: ChildProcess?

  init(in scratch: Scratch) throws {
    self.scratch = scratch
    directory = try scratch.directory("ssh")
    port = 30_000 + Int(getpid() % 20_000)
    let programs = try scratch.directory("ssh/bin")
    // A floe that is killed leaves the directory of its socket, which goes with the scratch then.
    prefix = [
      "env", "XDG_RUNTIME_DIR=\(directory)", "PATH=\(programs):/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    for key in ["host", "user", "stranger"] {
      try run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "\(directory)/\(key)"])
    }
    try run("cp", ["\(directory)/user.pub", "\(directory)/authorized"])
    let hostKey = String(decoding: try readFile("\(directory)/host.pub"), as: UTF8.self)
    try writeFile("\(directory)/known", "[127.0.0.1]:\(port) \(hostKey)".utf8)
    try writeFile(
      "\(directory)/sshd_config",
      """
      Port \(port)
      ListenAddress 127.0.0.1
      HostKey \(directory)/host
      AuthorizedKeysFile \(directory)/authorized
      PidFile none
      StrictModes no
      UsePAM no
      PermitRootLogin yes

      """.utf8)
    try use(key: "user")
    try writeFile(
      "\(programs)/ssh", "#!/bin/sh\nexec /usr/bin/ssh -F \(directory)/ssh_config \"$@\"\n".utf8)
    try run("chmod", ["755", "\(programs)/ssh"])
    // sshd wants it for the processes that have no rights.
    try run("mkdir", ["-p", "/run/sshd"])
    try start()
  }

  func start() throws {
    let process = try scratch.start(
      "/usr/sbin/sshd", ["-D", "-e", "-f", "\(directory)/sshd_config"])
    self.process = process
    try waitUntil("sshd listens") {
      if process.hasEnded { throw HarnessError("sshd ended: \(process.errors)") }
      return process.errors.contains("Server listening")
    }
  }

  /// Ends the server and, as each of them is of its process group, the connections.
  func stop() throws {
    process?.signal(SIGKILL)
    try process?.wait()
  }

  /// Which key ssh shows from now on: "user" may, "stranger" may not.
  func use(key: String) throws {
    try run("rm", ["-f", "\(directory)/ssh_config"])
    try writeFile(
      "\(directory)/ssh_config",
      """
      Host *
        IdentityFile \(directory)/\(key)
        IdentitiesOnly yes
        UserKnownHostsFile \(directory)/known
        StrictHostKeyChecking yes

      """.utf8)
  }

  /// The processes of ssh that carry a socket.
  func clients() throws -> [pid_t] {
    try names(in: "/proc").compactMap { pid_t($0) }.filter { process in
      guard let line = try? readFile("/proc/\(process)/cmdline") else { return false }
      let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      return words.contains("\(directory)/ssh_config") && words.contains("-N")
    }
  }

  func source(_ image: String, socket: String) -> String {
    "ssh://root@127.0.0.1:\(port)/\(image)?socket=\(socket)"
  }

  /// Runs floe with that ssh.
  func floe(_ words: String...) throws -> Outcome { try floe(words) }

  func floe(_ words: [String]) throws -> Outcome {
    try attempt(prefix[0], Array(prefix[1...]) + [Floe.program] + words)
  }
}
