import FrozenImage
import HostSystem

/// What a program says on both of its outputs, while it runs.
public enum ProgramOutput {
  /// Runs a program to its end, with all that is of its session. Blocks.
  ///
  /// - Parameters:
  ///   - limit: nanoseconds, after which it is ended.
  ///   - line: gets each line.
  /// - Returns: its exit status; 124 when it took too long, 125 when it could not be started.
  public static func run(
    _ program: String, _ words: [String], within limit: UInt64, line: (String) -> Void
  ) -> Int32 {
    guard let process = RunningProcess(program, words) else { return 125 }
    switch process.wait(within: limit, isCancelled: { false }, line: line) {
    case .exited(let status): return status
    case .timedOut, .cancelled: return 124
    }
  }
}
