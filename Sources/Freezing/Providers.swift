package import Catalogue
package import DataSets
import FoundationEssentials
package import FrozenImage
import HostSystem
package import ImageReader
import LogicalRepresentation

/// The kinds of data sets that can be frozen. The program registers those that it has
/// (`Providers.all`); nothing here knows one by its name.
package struct Providers: Sendable {
  private let kinds: [any DataSetProvider.Type]

  /// - Parameter kinds: in the order in which they are asked whether a name is theirs.
  package init(_ kinds: [any DataSetProvider.Type]) {
    self.kinds = kinds
  }

  /// The words of `--format`.
  package var formats: [DataFormat] { kinds.flatMap { $0.formats } }

  /// Finds what a path or a name means.
  ///
  /// - Throws: `Failure`, or what the provider says, why it cannot be frozen.
  package func find(
    _ text: String, _ options: SearchOptions = SearchOptions()
  ) throws -> any DataSet {
    let named = try NamedData(text)
    for kind in kinds {
      if let found = try kind.find(named, options) { return found }
    }
    throw named.refusal
  }

  /// Removes what freezing an image made; what is gone already is no error.
  ///
  /// - Throws: `Failure` when the record cannot be read, what the provider says otherwise.
  package func release(_ record: ImageRecord) throws {
    try data(of: record).release()
  }

  /// How full the snapshot of an image is; `nil` where nothing fills up, or it cannot be told.
  package func fill(of record: ImageRecord) -> SnapshotFill? {
    (try? data(of: record))?.fill
  }

  /// Whether the user allowed that room is made for the snapshot of an image.
  package func mayGrow(_ record: ImageRecord) -> Bool {
    (try? data(of: record))?.mayGrow ?? false
  }

  /// Makes room for the snapshot of an image, where the user allowed it.
  ///
  /// - Returns: what was done, one sentence; `nil` where nothing had to be, or may be.
  /// - Throws: `Failure` when the record cannot be read, what the provider says otherwise.
  package func extend(_ record: ImageRecord) throws -> String? {
    try data(of: record).extend()
  }

  /// What an interrupted freeze or thaw left that keeps programs of this host from working.
  package func disturbance(of record: ImageRecord) -> String? {
    (try? data(of: record))?.disturbance
  }

  /// Makes what answers for an image.
  ///
  /// - Throws: `Failure` when the record cannot be read, `SourceError` and others when the
  ///   image is not to be had.
  package func productionHost(
    for record: ImageRecord, in catalogue: Catalogue
  ) throws -> any ProductionHost {
    let path = catalogue.representationPath(of: record.id)
    return try data(of: record).open(name: record.name) {
      let representation = try Representation(MappedFile.copy(of: path))
      try representation.check()
      return representation
    }
  }

  /// Reads what the catalogue keeps of an image.
  ///
  /// - Throws: `Failure` when the record is of a provider that is not known, or torn.
  private func data(of record: ImageRecord) throws(Failure) -> any ProviderRecord {
    for kind in kinds where kind.record.provider == record.provider {
      if let data = Self.read(kind.record, from: record.providerData) { return data }
    }
    throw Failure(.malformed, "the record of image \(record.name) cannot be read by this floe")
  }

  private static func read<Record: ProviderRecord>(
    _ type: Record.Type, from text: String
  ) -> (any ProviderRecord)? {
    try? JSONDecoder().decode(type, from: Data(text.utf8))
  }
}

extension ProviderRecord {
  /// As the catalogue keeps it.
  ///
  /// - Throws: what the encoder says.
  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
