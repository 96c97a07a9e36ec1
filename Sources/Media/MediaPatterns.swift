import CLinuxIO
import Glibc
import HostSystem

/// Paths of media, with wildcards: what a description of an image may choose from.
public struct MediaPatterns: Hashable, Sendable {
  /// At least one.
  public let patterns: [String]

  /// - Parameter patterns: as of glob(7): a wildcard means no slash. `nil` for none, which
  ///   would allow nothing.
  public init?(_ patterns: [String]) {
    guard !patterns.isEmpty else { return nil }
    self.patterns = patterns
  }

  /// Whether a medium is among them: by its path without symbolic links, or, for a device,
  /// by any name that a pattern finds ("/dev/disk/by-id/wwn-*").
  func allow(_ medium: OpenMedium) -> Bool {
    var path = medium.path
    if let resolved = realpath(path, nil) {
      path = String(cString: resolved)
      free(resolved)
    }
    if patterns.contains(where: { floe_path_matches($0, path) != 0 }) { return true }
    guard let number = medium.deviceNumber else { return false }
    return patterns.contains { Self.devices(of: $0).contains(number) }
  }

  /// The numbers of the block devices that a pattern finds.
  private static func devices(of pattern: String) -> Set<UInt64> {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0 else { return [] }
    var numbers: Set<UInt64> = []
    for index in 0..<Int(found.gl_pathc) {
      var status = stat()
      guard let path = found.gl_pathv[index], stat(path, &status) == 0,
        status.st_mode & S_IFMT == S_IFBLK
      else { continue }
      numbers.insert(UInt64(status.st_rdev))
    }
    return numbers
  }
}
