package import SystemPackage

/// Why a volume stack cannot be read: one sentence that says what and where.
public struct StackError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  /// The system's error number, where one is the cause.
  package let errno: Errno?

  /// An error that no system call reported; the sentence has no full stop.
  public init(_ description: String) {
    self.init(description, errno: nil)
  }

  package init(_ description: String, errno: Errno?) {
    self.description = description
    self.errno = errno
  }
}

extension StackError {
  /// "cannot do this to that: No such file or directory".
  package init(cannot action: String, _ errno: Errno) {
    self.init("cannot \(action): \(errno)", errno: errno)
  }
}
