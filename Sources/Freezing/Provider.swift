package import Catalogue
import FoundationEssentials
import FrozenImage
import HostSystem
package import ImageReader
import LogicalRepresentation

/// The providers that there are.
package enum Provider {
  private static var records: [any ProviderRecord.Type] {
    [BtrfsRecord.self, MountedRecord.self, StackRecord.self]
  }

  /// Reads what the catalogue keeps of an image.
  ///
  /// - Throws: `Failure` when the record is of a provider that is not known, or torn.
  private static func data(of record: ImageRecord) throws(Failure) -> any ProviderRecord {
    for type in records where type.provider == record.provider {
      if let data = read(type, from: record.providerData) { return data }
    }
    throw Failure(.malformed, "the record of image \(record.name) cannot be read by this floe")
  }

  private static func read<Record: ProviderRecord>(
    _ type: Record.Type, from text: String
  ) -> (any ProviderRecord)? {
    try? JSONDecoder().decode(type, from: Data(text.utf8))
  }

  /// Removes what freezing an image made; what is gone already is no error.
  ///
  /// - Throws: `Failure` when the record cannot be read, what the provider says otherwise.
  package static func release(_ record: ImageRecord) throws {
    try data(of: record).release()
  }

  /// Makes what answers for an image.
  ///
  /// - Throws: `Failure` when the record cannot be read, `SourceError` and others when the
  ///   image is not to be had.
  package static func productionHost(
    for record: ImageRecord, in catalogue: Catalogue
  ) throws -> any ProductionHost {
    let path = catalogue.representationPath(of: record.id)
    return try data(of: record).open(name: record.name) {
      let representation = try Representation(MappedFile.copy(of: path))
      try representation.check()
      return representation
    }
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
