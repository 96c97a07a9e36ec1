package import SystemPackage

/// Why a volume stack cannot be read: one sentence that says what and where.
public struct StackError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
  /// The system's error number, where one is the cause.
  package let errno: Errno?
  /// Whether what was there is gone for good.
  package let isGone: Bool

  public init(_ description: String) {
    self.init(description, errno: nil)
  }

  package init(_ description: String, errno: Errno?, isGone: Bool = false) {
    self.description = description
    self.errno = errno
    self.isGone = isGone
  }

  /// What was there is gone for good: an image of it is thawed.
  package static func gone(_ description: String) -> StackError {
    StackError(description, errno: nil, isGone: true)
  }
}

extension StackError {
  /// "cannot do this to that: No such file or directory".
  package init(cannot action: String, _ errno: Errno) {
    self.init("cannot \(action): \(errno)", errno: errno)
  }
}
