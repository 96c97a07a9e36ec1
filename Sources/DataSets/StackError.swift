public import FrozenImage
package import SystemPackage

/// Why a volume stack cannot be read: one sentence that says what and where.
public struct StackError: SentenceError {
  public let code: ErrorCode
  public let sentence: String
  public let cause: (any Error)?
  /// What kind of failure it is where nothing was frozen yet that could be gone.
  package private(set) var codeAtFreeze = ErrorCode.medium

  public init(code: ErrorCode, sentence: String, cause: (any Error)?) {
    self.code = code
    self.sentence = sentence
    self.cause = cause
  }

  /// The system's error number, where one is the cause.
  package var errno: Errno? { cause as? Errno }
  /// Whether what was there is gone for good.
  package var isGone: Bool { code == .thawed }

  /// What was there is gone for good: an image of it is thawed.
  ///
  /// - Parameter code: what kind of failure it is where nothing was frozen yet.
  package static func gone(
    _ sentence: String, atFreeze code: ErrorCode = .medium
  ) -> StackError {
    var error = StackError(.thawed, sentence)
    error.codeAtFreeze = code
    return error
  }
}
