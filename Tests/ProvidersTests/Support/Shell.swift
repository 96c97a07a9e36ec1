import Glibc

/// Why a command failed.
struct CommandError: Error, CustomStringConvertible {
  let description: String
}

/// Runs a script with `sh -e` and returns what it printed.
@discardableResult
func shell(_ script: String, ignoringFailure: Bool = false) throws -> String {
  var ends: [Int32] = [0, 0]
  guard pipe(&ends) == 0 else { throw CommandError(description: "pipe: \(errno)") }
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
  let words = ["/bin/sh", "-ec", script]
  var arguments = words.map { strdup($0) }
  defer { for argument in arguments { free(argument) } }
  arguments.append(nil)
  var child: pid_t = 0
  let failure = posix_spawn(&child, "/bin/sh", &actions, nil, arguments, environ)
  close(ends[1])
  defer { close(ends[0]) }
  guard failure == 0 else { throw CommandError(description: "cannot start sh: \(failure)") }
  var output: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = read(ends[0], &buffer, buffer.count)
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { break }
    output += buffer[..<count]
  }
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0, errno == EINTR {}
  let text = String(decoding: output, as: UTF8.self)
  guard status == 0 || ignoringFailure else {
    throw CommandError(description: "status \(status) of: \(script)\n\(text)")
  }
  return text
}

/// The bytes of a file.
func contents(of path: [UInt8]) throws -> [UInt8] {
  let name = path.map { CChar(bitPattern: $0) } + [0]
  let descriptor = open(name, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else {
    throw CommandError(
      description: "cannot open \(String(decoding: path, as: UTF8.self)): \(errno)")
  }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    guard count > 0 else { break }
    bytes += buffer[..<count]
  }
  return bytes
}
