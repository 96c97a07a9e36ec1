import Glibc
import HostSystem

/// Where programs are.
enum ProgramPath {
  /// Directories in which those for root are, which a user's PATH may not have.
  private static let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"]

  /// - Returns: `nil` when it is installed nowhere.
  static func of(_ name: String) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    let directories = path.split(separator: ":").map(String.init) + system
    return directories.lazy.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }
}
