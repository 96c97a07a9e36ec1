import CLinuxIO
import FrozenImage
import Glibc
import HostSystem

/// Going into the background. A process that has threads is not forked: floe
/// starts itself again in a session of its own, and waits until that child says
/// that the mount answers.
enum Daemon {
  /// The child's end of the pipe, as posix_spawn put it.
  static let readyDescriptor: Int32 = 3
  private static let word: [UInt8] = Array("ready\n".utf8)

  /// Starts the program again with more arguments, and returns once the child is
  /// ready.
  ///
  /// - Throws: `Failure` when the child ended before. It has told why by then, on
  ///   the standard error that it shares.
  static func start(adding arguments: [String]) throws {
    var pipe: [Int32] = [0, 0]
    guard Glibc.pipe(&pipe) == 0 else { throw Failure(.noRoom, "no pipe can be made") }
    defer { close(pipe[0]) }
    // Nothing else is started meanwhile that could inherit them.
    for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let child = ChildProcess.spawn(
      "/proc/self/exe", ProgramArguments.all + arguments, flags: floe_posix_spawn_setsid(),
      keeping: pipe[1])
    close(pipe[1])
    guard let child else {
      throw Failure(.failed, "floe cannot be started again in the background")
    }
    var answer: [UInt8] = []
    var byte: UInt8 = 0
    while read(pipe[0], &byte, 1) == 1 { answer.append(byte) }
    guard answer == word else {
      let status = ChildProcess.wait(for: child)
      throw SilentExit(status: status == 0 ? 1 : status)
    }
  }

  /// Tells the parent that the mount answers, and lets go of its terminal; `false`
  /// when the parent was interrupted meanwhile, so that nobody wants the mount.
  static func reportReady() -> Bool {
    chdir("/")
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    for descriptor in 0..<3 as Range<Int32> where null >= 0 { dup2(null, descriptor) }
    defer { close(readyDescriptor) }
    return word.withUnsafeBytes { write(readyDescriptor, $0.baseAddress, $0.count) } == word.count
  }
}
