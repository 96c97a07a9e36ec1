public import FrozenImage

/// What people and machines know an image by.
public struct FrozenImageLabel: Hashable, Sendable {
  public let id: UniqueIdentifier
  /// A label for people, unique within the catalogue.
  public let name: String
  /// When describing began.
  public let created: Timestamp
  /// Seconds before `created`, rounded up, in which freezing began; 0 where the data were at rest
  /// before.
  public let freezeLead: UInt32
  /// The production host's name.
  public let host: String
  /// What was frozen, for people.
  public let source: String
  /// Where a service answers for the image; empty when none does.
  public let service: String

  public init(
    id: UniqueIdentifier, name: String, created: Timestamp, host: String, source: String,
    service: String, freezeLead: UInt32 = 0
  ) {
    self.id = id
    self.name = name
    self.created = created
    self.host = host
    self.source = source
    self.service = service
    self.freezeLead = freezeLead
  }

  package func description(provider: String, statistics: FileSystemStatistics) -> ImageDescription {
    ImageDescription(
      id: id, name: name, created: created, provider: provider, host: host, source: source,
      service: service, statistics: statistics, freezeLead: freezeLead)
  }
}
