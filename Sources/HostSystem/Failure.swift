public import FrozenImage

/// Why something that somebody asked for cannot be done: one sentence that says what, where
/// and what to do.
public struct Failure: SentenceError {
  public let code: ErrorCode
  public let sentence: String
  public let cause: (any Error)?

  public init(code: ErrorCode, sentence: String, cause: (any Error)?) {
    self.code = code
    self.sentence = sentence
    self.cause = cause
  }
}
