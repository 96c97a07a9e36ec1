import FrozenImage

/// What came over the wire makes no sense; says what, in one sentence.
struct WireError: CodedError, Hashable {
  let code = ErrorCode.malformed
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// The limits that `floe.proto` states.
enum WireLimit {
  /// Bytes of data in a chunk of a representation or a portion.
  static let chunkLength = 256 << 10
  /// Bytes of a portion that is read through the production host in one call.
  static let portionLength = 1 << 20
  /// Bytes of a page of an answer that are aimed at.
  static let pageLength = 128 << 10
  /// Bytes of a message of either end.
  static let messageLength = 1 << 20
  /// Portions of a question.
  static let portions = 1024
  static let changedRanges = 65_536
  static let stores = 65_536
  static let storeExtents = 1_048_576
  /// Targets of all store extents of an answer.
  static let targets = 4_194_304
  /// Fragments of all probes of an answer.
  static let fragments = 1_048_576
  static let media = 4096
  /// Extents of all located portions of an answer.
  static let locatedExtents = MappingAnswer.maximumExtents
  /// Bytes of a provider's note.
  static let cursorLength = 64 << 10
  /// Bytes of a text for people.
  static let textLength = 4096
}
