import FrozenImage
import Glibc
package import SystemPackage

/// A directory of floe's own beside what is frozen, which snapshots and copies are made
/// in.
package enum OwnDirectory {
  /// Opens the directory, and makes it first where it is not there.
  ///
  /// What is in it must be no other user's to replace or to add to, and somebody may have
  /// made a directory, or a link to one, of that name before.
  ///
  /// - Parameters:
  ///   - name: of the directory.
  ///   - parent: the directory that it is in.
  ///   - path: of the directory, for messages.
  /// - Throws: `StackError` when it cannot be made or opened, belongs to another user, or
  ///   others may write to it.
  package static func open(
    _ name: String, in parent: FileDescriptor, path: String
  ) throws(StackError) -> FileDescriptor {
    if mkdirat(parent.rawValue, name, 0o700) != 0, errno != EEXIST {
      throw StackError(cannot: "make the directory \(path)", Errno(rawValue: errno))
    }
    let number = openat(
      parent.rawValue, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard number >= 0 else {
      guard errno == ENOTDIR || errno == ELOOP else {
        throw StackError(cannot: "open \(path)", Errno(rawValue: errno))
      }
      throw StackError(.invalid, "\(path) is no directory, so nothing is made there")
    }
    let directory = FileDescriptor(rawValue: number)
    do throws(StackError) {
      try require(directory, path)
    } catch {
      try? directory.close()
      throw error
    }
    return directory
  }

  private static func require(_ directory: FileDescriptor, _ path: String) throws(StackError) {
    var status = stat()
    guard fstat(directory.rawValue, &status) == 0 else {
      throw StackError(cannot: "look at \(path)", Errno(rawValue: errno))
    }
    guard status.st_uid == geteuid() else {
      throw StackError(
        .notPermitted,
        "\(path) belongs to the user \(status.st_uid), not to \(geteuid()), so nothing is made there"
      )
    }
    guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
      throw StackError(
        .notPermitted,
        "others than its owner may write to \(path), so nothing is made there: chmod 700 it, or remove it"
      )
    }
  }
}
