import CLinuxIO
import Glibc

extension ChildProcess {
  /// Bytes of output that are taken.
  private static let maximumOutput = 65536

  /// What a program found on the PATH writes to its standard output, however it ends.
  ///
  /// - Parameters:
  ///   - limit: nanoseconds, after which it is killed.
  ///   - joinsErrors: whether its standard error is taken as well, rather than lost.
  /// - Returns: `nil` when it could not be started, took too long, or wrote more than 65,536
  ///   bytes.
  public static func output(
    of program: String, _ arguments: [String], within limit: UInt64, joinsErrors: Bool = false
  ) -> [UInt8]? {
    // Memory takes all of it, so that no child waits for a reader.
    let memory = floe_memory_file("output")
    guard memory >= 0 else { return nil }
    defer { close(memory) }
    guard
      let child = spawn(program, arguments, isMute: true, output: memory, joinsErrors: joinsErrors)
    else { return nil }
    guard ends(child, within: limit) else {
      kill(child, SIGKILL)
      _ = wait(for: child)
      return nil
    }
    var bytes = [UInt8](repeating: 0, count: maximumOutput + 1)
    let count = bytes.withUnsafeMutableBytes { pread(memory, $0.baseAddress, $0.count, 0) }
    return count >= 0 && count <= maximumOutput ? Array(bytes[..<count]) : nil
  }
}
