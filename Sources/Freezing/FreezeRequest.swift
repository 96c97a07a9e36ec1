package import Catalogue
package import FrozenImage
package import LogicalRepresentation
package import SystemPackage

/// How a data set is to be frozen, as the user asked for it.
package struct FreezeRequest: Sendable {
  /// What is frozen, for people.
  package var source: String
  /// The image's name in the catalogue; `nil` when only a file is written.
  package var name: String?
  /// Where the image gets a record, or would get it.
  package var catalogue: Catalogue
  /// A file for the representation, besides; an absolute path.
  package var output: FilePath?
  /// Whether a file at `output` is replaced.
  package var replacesOutput = false
  /// Where a service will answer, when the user said so.
  package var service: String?
  /// Whether an image is refused of which something cannot be read.
  package var isStrict = false

  package init(source: String, name: String?, catalogue: Catalogue) {
    self.source = source
    self.name = name
    self.catalogue = catalogue
  }
}

/// What happens during a freeze, for whoever watches.
package enum FreezeEvent: Hashable, Sendable {
  /// So much is described: inodes, and bytes of regular files.
  case described(nodes: UInt64, bytes: UInt64)
  /// The description ended, whether it is complete or not.
  case descriptionEnded
  /// A signal asked for the end, and nothing was written.
  case interrupted
  /// A signal asked for the end; what was made is being removed.
  case removing(name: String)
  /// Of an interrupted freeze nothing is left.
  case removed(name: String)
  /// What a freeze made that failed is still there: why, and the command that removes it.
  case leftBehind(reason: String, remedy: String)
}

/// An image that was frozen and described.
package struct FreezeResult: Sendable {
  package let id: UniqueIdentifier
  /// In the catalogue; else the file's, without its extension.
  package let name: String
  /// The kind of provider ("btrfs").
  package let provider: String
  /// The path of the snapshot that was made or taken as it is, where there is one.
  package let snapshot: String?
  /// Inodes of every type, files and directories among them.
  package let nodes: UInt64
  /// Regular files, each once however many names it has.
  package let files: UInt64
  /// Bytes of regular files, as their sizes tell.
  package let bytes: UInt64
  /// Everything that reads of the image go to.
  package let media: [MediumDescription]
  /// What could not be read.
  package let unreadable: UnreadableList
  /// Bytes.
  package let representationLength: UInt64
  /// The representation's file, when one was asked for.
  package let output: FilePath?
  /// Nanoseconds for which nobody could write while it was frozen, where that is known.
  package let quietTime: UInt64?
}

/// An image was wanted of which everything can be read, and this one is not.
package struct UnreadableImage: CodedError {
  package let code = ErrorCode.medium
  /// What cannot be read of it, at least one part.
  package let parts: UnreadableList

  package var description: String { "\(parts.count) parts of the image cannot be read" }
}
