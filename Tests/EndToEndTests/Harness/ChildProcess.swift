import Glibc

/// A program that runs beside the test, in a process group of its own, with its
/// output in files that nobody else sees.
final class ChildProcess {
  /// How a program ended.
  enum Ending: Equatable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    var description: String {
      switch self {
      case .exited(let status): "exit status \(status)"
      case .killed(let signal): "signal \(signal)"
      }
    }
  }

  let commandLine: String
  let identifier: pid_t
  private let outputFile: Int32
  private let errorFile: Int32
  private var ending: Ending?

  /// Starts a program, found by `PATH` unless its name has a slash.
  init(_ program: String, _ arguments: [String]) throws {
    commandLine = ([program] + arguments).joined(separator: " ")
    outputFile = try Self.anonymousFile()
    errorFile = try Self.anonymousFile()

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, outputFile, 1)
    posix_spawn_file_actions_adddup2(&actions, errorFile, 2)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var started: pid_t = 0
    var vector: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for argument in vector { free(argument) } }
    let failure = posix_spawnp(&started, program, &actions, &attributes, &vector, environ)
    guard failure == 0 else {
      close(outputFile)
      close(errorFile)
      throw HarnessError("\(program) cannot be started: \(errorText(failure))")
    }
    identifier = started
  }

  deinit {
    if !hasEnded {
      signal(SIGKILL)
      waitpid(identifier, nil, 0)
    }
    close(outputFile)
    close(errorFile)
  }

  var hasEnded: Bool {
    collect(WNOHANG)
    return ending != nil
  }

  /// Waits for the program's end; kills it and throws when that takes too long.
  @discardableResult
  func wait(seconds: Int = 600) throws -> Ending {
    let end = now() + Int64(seconds) * 1000
    while !hasEnded {
      guard now() < end else {
        signal(SIGKILL)
        throw HarnessError(
          "\(commandLine): still running after \(seconds) s\n\(output)\n\(errors)")
      }
      usleep(2000)
    }
    return ending ?? .killed(signal: 0)
  }

  /// Sends a signal to the program and whatever it started.
  func signal(_ number: Int32) {
    guard ending == nil else { return }
    kill(-identifier, number)
  }

  /// What was written to standard output so far.
  var output: String { Self.text(of: outputFile) }
  /// What was written to standard error so far.
  var errors: String { Self.text(of: errorFile) }

  private func collect(_ options: Int32) {
    guard ending == nil else { return }
    var status: Int32 = 0
    guard waitpid(identifier, &status, options) == identifier else { return }
    let signal = status & 0x7F
    ending = signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal: signal)
  }

  private static func anonymousFile() throws -> Int32 {
    var name = Array("/tmp/floe-e2e-output.XXXXXX".utf8CString)
    let file = mkstemp(&name)
    guard file >= 0 else { throw HarnessError("no temporary file in /tmp: \(errorText(errno))") }
    unlink(name)
    _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    return file
  }

  private static func text(of file: Int32) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = pread(file, &buffer, buffer.count, off_t(bytes.count))
      guard count > 0 else { break }
      bytes += buffer.prefix(count)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// What a program that ended left.
struct Outcome {
  let commandLine: String
  let ending: ChildProcess.Ending
  let output: String
  let errors: String

  var succeeded: Bool { ending == .exited(0) }
}

/// Runs a program to its end, whatever that is.
func attempt(
  _ program: String, _ arguments: [String], seconds: Int = 600
) throws -> Outcome {
  let child = try ChildProcess(program, arguments)
  let ending = try child.wait(seconds: seconds)
  return Outcome(
    commandLine: child.commandLine, ending: ending, output: child.output, errors: child.errors)
}

/// Runs a program that must succeed; returns its standard output.
@discardableResult
func run(
  _ program: String, _ arguments: [String], seconds: Int = 600
) throws -> String {
  let outcome = try attempt(program, arguments, seconds: seconds)
  guard outcome.succeeded else {
    throw HarnessError(
      "\(outcome.commandLine): \(outcome.ending)\n\(outcome.output)\(outcome.errors)")
  }
  return outcome.output
}

/// What went wrong in the test's own machinery.
struct HarnessError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }

/// Milliseconds of a clock that only goes forward.
func now() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

/// Waits until something holds; throws when it does not in time.
func waitUntil(
  _ what: String, seconds: Int = 60, _ condition: () throws -> Bool
) throws {
  let end = now() + Int64(seconds) * 1000
  while try !condition() {
    guard now() < end else { throw HarnessError("waited \(seconds) s in vain: \(what)") }
    usleep(5000)
  }
}
