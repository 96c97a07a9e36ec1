import FrozenImage
import Glibc
import HostSystem

/// The processes of a run, which are known by a variable of their environment, also to an agent
/// that was started after they were.
public enum RunProcesses {
  /// The variable, which holds the run's identifier; a job may look at it.
  public static let variable = "FLOE_RUN"

  /// Kills all of a run's processes, those included that they start meanwhile.
  public static func kill(run: String) {
    for _ in 0..<100 {
      let found = processes(of: run)
      guard !found.isEmpty else { return }
      for process in found { Glibc.kill(process, SIGKILL) }
      usleep(20_000)
    }
  }

  static func processes(of run: String) -> [Int32] {
    let wanted = Array("\(variable)=\(run)".utf8)
    guard let stream = opendir("/proc") else { return [] }
    defer { closedir(stream) }
    var found: [Int32] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        PathText.text(of: bytes.prefix { $0 != 0 })
      }
      // One that has ended has no environment any more.
      guard let process = Int32(name), process != getpid(),
        let bytes = try? CompleteFile.read("/proc/\(name)/environ")
      else { continue }
      if bytes.split(separator: 0).contains(where: { $0.elementsEqual(wanted) }) {
        found.append(process)
      }
    }
    return found
  }
}
