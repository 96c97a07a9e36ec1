import FrozenImage
import Glibc
import SystemPackage

/// A file that the user wants to be written.
public enum OutputFile {
  /// Refuses a place before any work is done for it.
  ///
  /// - Parameter replaces: whether the user wants a file that is there to be replaced.
  /// - Throws: `Failure` when something is there that is not to be replaced.
  public static func check(_ path: String, replacing replaces: Bool) throws(Failure) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      let reason = Errno(rawValue: errno)
      guard reason == .noSuchFileOrDirectory else { throw Failure("\(path)", cause: reason) }
      return try checkDirectory(of: path)
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      guard replaces else {
        throw Failure(
          .exists, "\(path) is there already: name another file, or replace it with --force")
      }
    case S_IFLNK:
      // Somebody else may have put it there, and not the link is meant.
      throw Failure(
        .exists, "\(path) is a symbolic link, which is not followed: name the file itself")
    default: throw Failure(.invalid, "\(path) is there and is no file: name another one")
    }
  }

  private static func checkDirectory(of path: String) throws(Failure) {
    let parent = FilePath(path).removingLastComponent()
    let directory = parent.isEmpty ? "." : parent.string
    guard access(directory, W_OK | X_OK) == 0 else {
      throw Failure("\(path) cannot be made: \(directory)", cause: Errno(rawValue: errno))
    }
  }
}
