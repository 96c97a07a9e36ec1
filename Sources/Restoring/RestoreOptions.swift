/// How an image's files are restored.
package struct RestoreOptions: Sendable {
  /// Whether files that are there already as a whole are left as they are.
  package var resumes = false
  /// Whether what is in the way gives way; directories do not.
  package var overwrites = false
  /// Whether a file that is there is compared by its content too, and not by its size and its
  /// modification time alone.
  package var comparesContent = false
  /// How many files are read at once.
  package var threads = 4

  package init() {}
}

/// What a restore did.
package struct RestoreFindings: Sendable {
  /// Something that could not be restored as it is in the image.
  package struct Failed: Sendable {
    /// Below the destination, without a slash before it (`PathText`); empty for the
    /// destination itself.
    package let path: String
    /// Why.
    package let error: any Error
  }

  /// Regular files that were written.
  package var files: UInt64 = 0
  /// Bytes that were written; holes are not.
  package var bytes: UInt64 = 0
  /// Regular files that were there already.
  package var skipped: UInt64 = 0
  /// Those that were made, and those that were there.
  package var directories: UInt64 = 0
  /// Further names of files that have several.
  package var hardLinks: UInt64 = 0
  /// Symbolic links, devices, FIFOs and sockets.
  package var others: UInt64 = 0
  /// The first of them; `failureCount` counts all.
  package var failures: [Failed] = []
  /// Those beyond the list too.
  package var failureCount: UInt64 = 0
  /// Entries that belong to another user than in the image, as this user may not give them.
  package var ownersNotKept: UInt64 = 0
  /// Properties of the source's file system that the destination does not know.
  package var propertiesNotKept: UInt64 = 0

  /// Most failures that are kept one by one.
  static let failureLimit = 100_000
}
