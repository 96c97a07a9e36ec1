public import FrozenImage

/// What people and machines know an image by.
public struct FrozenImageLabel: Hashable, Sendable {
  public let id: UniqueIdentifier
  /// A label for people, unique within the catalogue.
  public let name: String
  /// When freezing began.
  public let created: Timestamp
  /// The production host's name.
  public let host: String
  /// What was frozen, for people.
  public let source: String
  /// Where a service answers for the image; empty when none does.
  public let service: String

  public init(
    id: UniqueIdentifier, name: String, created: Timestamp, host: String, source: String,
    service: String
  ) {
    self.id = id
    self.name = name
    self.created = created
    self.host = host
    self.source = source
    self.service = service
  }

  package func description(provider: String, statistics: FileSystemStatistics) -> ImageDescription {
    ImageDescription(
      id: id, name: name, created: created, provider: provider, host: host, source: source,
      service: service, statistics: statistics)
  }
}
