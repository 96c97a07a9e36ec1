public import FrozenImage

/// Reads the bytes of the image's files: what a mount answers reads with.
///
/// Reads block and may be made from any thread, several at once.
public protocol FileReading: Sendable {
  /// Fills the buffer with the bytes of a file from `offset` on.
  ///
  /// Holes and space that was never written read as zeros.
  /// - Returns: the count of bytes read: less than the buffer's only at the file's end.
  /// - Throws: `ReadError` when the bytes cannot be read or cannot be proved to be the image's.
  func read(
    _ node: NodeIndex, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ReadError) -> Int
}

/// Why a file's bytes could not be read.
public enum ReadError: CodedError, Hashable {
  /// The image is no longer what was frozen, or is gone (ESTALE at a mount).
  case thawed(String)
  /// The bytes cannot be read now, or cannot be proved to be the image's (EIO at a mount).
  case unreadable(String)
}

extension ReadError {
  public var code: ErrorCode {
    switch self {
    case .thawed: .thawed
    case .unreadable: .medium
    }
  }

  public var description: String {
    switch self {
    case .thawed(let reason), .unreadable(let reason): reason
    }
  }
}
