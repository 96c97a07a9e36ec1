public import FrozenImage

/// The parts of a representation that grow while it is written.
public enum ScratchSection: Int, CaseIterable, Sendable {
  case nodes
  /// Nodes that stand for nested trees; they follow the others in the end.
  case placeholders
  case entries
  case extents
  case compressedRuns
  case checksums
  case extendedAttributes
  case heap
  case identities
}

/// Where a representation is put together: a growing run of bytes for each section,
/// which are read back in the end, and the representation itself.
///
/// The writer calls from one thread at a time.
public protocol RepresentationScratch: AnyObject {
  /// Adds bytes at the end of a section.
  func append(
    _ bytes: UnsafeRawBufferPointer, to section: ScratchSection
  ) throws(ScratchError)

  /// Fills the buffer with the bytes of a section from `offset` on, all of which were
  /// appended before.
  func read(
    _ section: ScratchSection, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError)

  /// Puts bytes of the representation in place, not necessarily in ascending order.
  /// Bytes between that are never put are zeros.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ScratchError)

  /// Makes the representation durable and visible. The last call.
  func commit() throws(ScratchError)
}

/// Why scratch space failed, in one sentence that names the place.
public struct ScratchError: SentenceError {
  public let code: ErrorCode
  public let sentence: String
  public let cause: (any Error)?

  public init(code: ErrorCode, sentence: String, cause: (any Error)?) {
    self.code = code
    self.sentence = sentence
    self.cause = cause
  }
}

/// Why a tree cannot be written as a representation.
public struct RepresentationWriterError: CodedError, Hashable {
  public let code = ErrorCode.malformed
  /// What cannot be written ("inode 257").
  public let place: String
  /// What is wrong with it, without a full stop ("its time is malformed").
  public let problem: String

  init(_ place: String, _ problem: String) {
    self.place = place
    self.problem = problem
  }

  public var description: String { "the image cannot be described: \(place): \(problem)" }
}
