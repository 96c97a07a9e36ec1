public import SystemPackage

/// Why btrfs could not be frozen, described, asked or thawed: one sentence that
/// says what and where.
public struct BtrfsError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  /// The system's error number, where one is the cause.
  public let errno: Errno?

  init(_ description: String, errno: Errno? = nil) {
    self.description = description
    self.errno = errno
  }

  /// "cannot do this to that: No such file or directory".
  init(cannot action: String, _ errno: Errno) {
    self.init("cannot \(action): \(errno)", errno: errno)
  }
}
