import FrozenImage
import Glibc
import SystemPackage

/// What paths mean on this host.
public enum HostPath {
  /// The path without symbolic links (realpath(3)); `nil` when it cannot be followed.
  public static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return PathText.text(cString: resolved)
  }

  /// The path from the root on. The parent is resolved, the last name is not: it may be a
  /// link that is meant itself, or a dead mount, which cannot be looked at.
  public static func absolute(_ path: String) -> String {
    let asked = FilePath(path)
    var path = asked
    let last = path.lastComponent
    if path.components.count > 0, last != ".", last != ".." { path.removeLastComponent() }
    // Where the parent is missing, the path is as it was given, from here on.
    guard let parent = resolved(path.isEmpty ? "." : path.string) else {
      return asked.isAbsolute ? asked.string : FilePath(resolved(".") ?? "/").pushing(asked).string
    }
    var result = FilePath(parent)
    if let last, last != ".", last != ".." { result.append(last) }
    return result.string
  }
}
