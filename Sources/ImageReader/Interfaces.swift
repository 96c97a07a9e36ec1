public import FrozenImage

/// A storage medium that can be read.
///
/// Reads block. They return what the storage acknowledged last, never what this
/// host cached earlier.
public protocol Medium: Sendable {
  /// Where it was found, for messages ("/dev/sdb").
  var path: String { get }
  /// Bytes.
  var size: UInt64 { get }

  /// Fills the buffer with the bytes at `offset`.
  ///
  /// Any offset and count is allowed; alignment is the medium's own affair.
  /// - Throws: `MediumError` when not every byte could be read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(MediumError)
}

/// Why bytes of a medium could not be read.
public struct MediumError: CodedError, Hashable {
  /// Where the medium was found.
  public let path: String
  /// Bytes from the start of the medium.
  public let offset: UInt64
  /// What went wrong, in words ("Input/output error").
  public let reason: String

  public init(path: String, offset: UInt64, reason: String) {
    self.path = path
    self.offset = offset
    self.reason = reason
  }

  public var code: ErrorCode { .medium }

  public var description: String { "\(path): cannot read at byte \(offset): \(reason)" }
}

/// The production host, as whoever reads a frozen image sees it: the image's provider, the
/// wire to it, or whatever else can tell where the image's bytes lie now. Calls block and may
/// be made from any thread, several at once.
public protocol ProductionHost: Sendable {
  /// Asks what may have changed and where portions lie (see `MappingQuestion`).
  func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer

  /// Reads a portion through the production host: at most the buffer's count of
  /// bytes, from `offset` of the file. The bytes are the frozen image's.
  ///
  /// - Returns: the count of bytes read; fewer than asked only at the file's end.
  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int

  /// Asks whether the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  func liveCheck() throws(SourceError)

  /// How full the snapshot is that the image lies on; `nil` where nothing fills up, or it cannot
  /// be told.
  func fill() -> SnapshotFill?
}

extension ProductionHost {
  /// Nothing fills up: most kinds of images have no snapshot with room of its own.
  public func fill() -> SnapshotFill? { nil }
}

/// Why the production host gave no answer.
public enum SourceError: CodedError, Hashable {
  /// It cannot be reached now; asking again later may succeed.
  case unreachable(String)
  /// The image is no longer what was frozen, or is gone: no answer will ever come.
  case thawed(String)
  /// It was reached and cannot answer this.
  case failed(String)
}

extension SourceError {
  public var code: ErrorCode {
    switch self {
    case .unreachable: .unreachable
    case .thawed: .thawed
    case .failed: .failed
    }
  }

  public var description: String {
    switch self {
    case .unreachable(let reason): "the production host cannot be reached: \(reason)"
    case .thawed(let reason): "the image is no longer frozen: \(reason)"
    case .failed(let reason): "the production host cannot answer: \(reason)"
    }
  }
}
