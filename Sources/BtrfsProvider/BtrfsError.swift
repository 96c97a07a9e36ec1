public import FrozenImage
import Glibc
import SystemPackage

/// Why btrfs could not be frozen, described, asked or thawed: one sentence that
/// says what and where.
public struct BtrfsError: SentenceError {
  public let code: ErrorCode
  public let sentence: String
  public let cause: (any Error)?

  public init(code: ErrorCode, sentence: String, cause: (any Error)?) {
    self.code = code
    self.sentence = sentence
    self.cause = cause
  }

  /// The system's error number, where one is the cause.
  var errno: Errno? { cause as? Errno }

  /// Whether the kernel could not read a block of a tree: a device gave it not, or it has a
  /// wrong checksum (EIO), or is malformed (EUCLEAN).
  var isUnreadableBlock: Bool {
    errno == .ioError || errno == Errno(rawValue: EUCLEAN)
  }
}
