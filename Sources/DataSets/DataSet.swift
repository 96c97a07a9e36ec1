package import FrozenImage
package import ImageReader
package import LogicalRepresentation

/// A kind of data set that can be frozen. The program registers it with the others
/// (`Providers.all`).
package protocol DataSetProvider: SendableMetatype {
  /// How what the catalogue keeps of an image is read.
  static var record: any ProviderRecord.Type { get }
  /// The words of `--format` that it understands.
  static var formats: [DataFormat] { get }

  /// Finds what a user named.
  ///
  /// - Returns: `nil` when it is no data set of this kind: then the next one is asked.
  /// - Throws: why it is one and cannot be frozen.
  static func find(_ named: NamedData, _ options: SearchOptions) throws -> (any DataSet)?
}

extension DataSetProvider {
  /// None: most kinds are known by what is there.
  package static var formats: [DataFormat] { [] }
}

/// Something that can be frozen, as its provider sees it.
package protocol DataSet {
  /// What the user should know although nothing is wrong: one sentence each.
  var remarks: [String] { get }
  /// The chain that was found, from the top down, a line each.
  var explanation: [String] { get throws }
  /// Whether freezing makes something that has to be removed again: then the image has
  /// to be in a catalogue.
  var leavesSomething: Bool { get }
  /// Whether nothing can be read without a service to ask.
  var needsService: Bool { get }

  /// What the catalogue keeps before anything is made, for whoever removes what a crash
  /// left.
  ///
  /// - Throws: the provider's own error, when it cannot be frozen.
  func plan(for image: UniqueIdentifier) throws -> any ProviderRecord

  /// Freezes: from now on nothing in it changes.
  ///
  /// - Throws: the provider's own error; what was made on the way is gone by then.
  func freeze(as image: UniqueIdentifier) throws -> any FrozenDataSet
}

/// A data set that was frozen, and is not described yet.
package protocol FrozenDataSet {
  /// What the catalogue keeps of it from now on.
  var record: any ProviderRecord { get }
  /// Nanoseconds for which nobody could write while it was frozen; `nil` where nobody waited
  /// or it is not known.
  var quietTime: UInt64? { get }

  /// Writes the representation.
  ///
  /// - Returns: the media that it lies on.
  /// - Throws: the provider's own error, `RepresentationWriterError` or `ScratchError`.
  func describe(
    _ label: FrozenImageLabel, scratch: any RepresentationScratch,
    progress: (FreezeProgress) -> Void
  ) throws -> [MediumDescription]
}

extension FrozenDataSet {
  /// Not known: most kinds make nobody wait, or not for long.
  package var quietTime: UInt64? { nil }
}

/// What the catalogue keeps of an image for its provider, as JSON.
package protocol ProviderRecord: Codable, Sendable {
  /// The kind of provider, which says how the record is read.
  static var provider: String { get }
  /// The path of the snapshot, where there is one.
  var snapshot: String? { get }

  /// How full the snapshot is; `nil` where nothing fills up, or it cannot be told.
  var fill: SnapshotFill? { get }

  /// Whether the user allowed that room is made in what `fill` tells of.
  var mayGrow: Bool { get }

  /// Makes room in what `fill` tells of, where the user allowed it at the freeze.
  ///
  /// - Returns: what was done, one sentence; `nil` where nothing had to be, or may be.
  /// - Throws: the provider's own error, when there is to be more room and there is none.
  func extend() throws -> String?

  /// What an interrupted freeze or thaw left that keeps programs of this host from working: one
  /// sentence that says what to do; `nil` when there is nothing.
  var disturbance: String? { get }

  /// Removes what the freeze made; what is gone already is no error.
  ///
  /// - Throws: the provider's own error, when it is still there.
  func release() throws

  /// Answers for the image.
  ///
  /// - Parameters:
  ///   - name: the image's, for messages.
  ///   - representation: the image's representation, checked.
  /// - Throws: the provider's own error, when what it needs to answer is not there.
  func open(
    name: String, representation: @escaping @Sendable () throws -> Representation
  ) throws -> any ProductionHost
}

extension ProviderRecord {
  /// Nothing fills up: most kinds of snapshots share their file system's room.
  package var fill: SnapshotFill? { nil }

  /// Nothing fills up.
  package var mayGrow: Bool { false }

  /// Nothing needs room.
  ///
  /// - Throws: never.
  package func extend() throws -> String? { nil }

  /// Nobody waits for what most kinds leave.
  package var disturbance: String? { nil }
}
