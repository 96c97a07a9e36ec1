/// What kind of failure an error is: a word that programs compare, where the sentence is for
/// people. `--json` prints it; the man page lists all of them. A word keeps its meaning
/// within a major version.
public enum ErrorCode: String, Hashable, Sendable, CaseIterable {
  /// The image is no longer what was frozen, or is gone.
  case thawed
  /// Nobody answers there now; asking again later may succeed.
  case unreachable
  /// There is nothing of that name.
  case notFound = "not-found"
  /// There is something of that name, and it is left alone.
  case exists
  /// It does not rest, or somebody else has it.
  case inUse = "in-use"
  /// This user may not, or nobody said that it is allowed.
  case notPermitted = "not-permitted"
  /// What was given (a name, an address, an option) makes no sense here.
  case invalid
  /// Bytes of a disk, a file or a message break the rules of their format.
  case malformed
  /// Storage cannot be read, is missing, or is not what was expected.
  case medium
  /// floe, the kernel or the other end does not do this.
  case unsupported
  /// There is no room, or a limit is reached.
  case noRoom = "no-room"
  /// A signal ended it.
  case interrupted
  /// Another reason, which the sentence says.
  case failed

  /// Of any error: its own where it has one.
  public init(of error: any Error) {
    self = (error as? any CodedError)?.code ?? .failed
  }
}

/// An error that programs can tell from others. Its description is one sentence for people
/// that says what and where, with the cause's own behind it.
public protocol CodedError: Error, CustomStringConvertible {
  /// What kind of failure it is.
  var code: ErrorCode { get }
  /// The error behind it; `nil` where it began here.
  var cause: (any Error)? { get }
}

extension CodedError {
  /// None: most errors begin where they are thrown.
  public var cause: (any Error)? { nil }
}

/// An error that is nothing but a code, a sentence and a cause: that of a module whose
/// callers only pass it on.
public protocol SentenceError: CodedError, Hashable {
  /// What and where, without the cause.
  var sentence: String { get }

  /// - Parameter sentence: what and where, without the cause and without a full stop.
  init(code: ErrorCode, sentence: String, cause: (any Error)?)
}

extension SentenceError {
  /// An error that begins here.
  public init(_ code: ErrorCode, _ sentence: String) {
    self.init(code: code, sentence: sentence, cause: nil)
  }

  /// "the sentence: what the cause says".
  public init(_ sentence: String, cause: any Error) {
    self.init(code: ErrorCode(of: cause), sentence: sentence, cause: cause)
  }

  /// "cannot do this to that: No such file or directory".
  public init(cannot action: String, _ cause: any Error) {
    self.init("cannot \(action)", cause: cause)
  }

  /// What another error says, as this type.
  public init(_ error: any Error) {
    if let error = error as? Self {
      self = error
    } else if let error = error as? any SentenceError {
      self.init(code: error.code, sentence: error.sentence, cause: error.cause)
    } else {
      self.init(code: ErrorCode(of: error), sentence: "\(error)", cause: nil)
    }
  }

  public var description: String { cause.map { "\(sentence): \($0)" } ?? sentence }

  public static func == (left: Self, right: Self) -> Bool {
    left.code == right.code && left.description == right.description
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(description) }
}
