import Glibc
public import SystemPackage

/// Why btrfs could not be frozen, described, asked or thawed: one sentence that
/// says what and where.
public struct BtrfsError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  /// The system's error number, where one is the cause.
  public let errno: Errno?

  /// Whether the kernel could not read a block of a tree: a device gave it not, or it has a
  /// wrong checksum (EIO), or is malformed (EUCLEAN).
  var isUnreadableBlock: Bool {
    errno == .ioError || errno == Errno(rawValue: EUCLEAN)
  }

  init(_ description: String, errno: Errno? = nil) {
    self.description = description
    self.errno = errno
  }

  /// "cannot do this to that: No such file or directory".
  init(cannot action: String, _ errno: Errno) {
    self.init("cannot \(action): \(errno)", errno: errno)
  }
}
