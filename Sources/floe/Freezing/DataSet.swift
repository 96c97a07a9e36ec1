import DataSets
import FrozenImage
import HostSystem
import ImageService
import LogicalRepresentation
import SystemPackage

/// Something that can be frozen, as its provider sees it.
protocol DataSet {
  /// What the user should know although nothing is wrong: one sentence each.
  var notes: [String] { get }
  /// The chain that was found, from the top down, a line each.
  var explanation: [String] { get throws }
  /// Whether freezing makes something that has to be removed again: then the image has
  /// to be in a catalogue.
  var leavesSomething: Bool { get }
  /// Whether nothing can be read without a service to ask.
  var needsService: Bool { get }

  /// What the catalogue keeps before anything is made, for whoever removes what a crash
  /// left.
  func plan(for image: UniqueIdentifier) throws -> any ImageNote

  /// Freezes.
  func freeze(as image: UniqueIdentifier) throws -> any ImageNote

  /// Writes the representation of what was frozen.
  ///
  /// - Returns: the media that it lies on.
  func describe(
    _ frozen: any ImageNote, _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription]
}

/// What the catalogue keeps of an image for its provider, as JSON.
protocol ImageNote: Codable {
  /// The kind of provider, which says how the note is read.
  static var provider: String { get }
  /// The path of the snapshot, where there is one.
  var snapshot: String? { get }

  /// Removes what the freeze made; what is gone already is no error.
  func release() throws

  /// Answers for the image.
  ///
  /// - Parameter representation: the image's representation, checked.
  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ServedImage
}

extension ImageNote {
  var text: String { JSON.text(of: self) }
}

/// The providers that this program has.
enum Provider {
  private static var notes: [any ImageNote.Type] {
    [BtrfsNote.self, MountedNote.self, StackNote.self]
  }

  /// Reads what the catalogue keeps of an image.
  ///
  /// - Throws: `Failure` when the record is of a provider that is not known, or torn.
  static func note(of record: ImageRecord) throws -> any ImageNote {
    for type in notes where type.provider == record.provider {
      if let note = JSON.report(type, from: record.providerData.utf8) { return note }
    }
    throw Failure("the record of image \(record.name) cannot be read by this floe")
  }

  /// Makes what answers for an image.
  static func source(of record: ImageRecord, in catalogue: Catalogue) throws -> any ServedImage {
    let path = catalogue.representationPath(of: record.id)
    return try note(of: record).open(name: record.name) {
      let representation = try Representation(MappedFile.copy(of: path))
      try representation.check()
      return representation
    }
  }
}
