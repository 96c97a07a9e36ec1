public import FrozenImage
import LogicalRepresentation

/// What the catalogue keeps of an image, in `image.json`.
public struct ImageRecord: Hashable, Sendable {
  /// How far freezing came.
  public enum Phase: String, Codable, Hashable, Sendable {
    /// A snapshot may exist, a complete representation does not.
    case freezing
    case frozen
  }

  /// The representation, once it is complete.
  public struct Representation: Codable, Hashable, Sendable {
    /// Bytes.
    public let length: UInt64
    /// SHA-256 of all bytes (FIPS 180-4), 64 hexadecimal digits.
    public let sha256: String
  }

  public let id: UniqueIdentifier
  /// A label for people, unique within the catalogue.
  public let name: String
  /// The kind of volume stack ("btrfs").
  public let provider: String
  /// What the provider needs to find the frozen image again; only it reads this.
  public var providerData: String
  /// The path that was frozen, for people.
  public let source: String
  /// When freezing began.
  public let created: Timestamp
  /// Set to `frozen` by the same write as `representation`.
  public var phase: Phase
  /// `nil` while freezing.
  public var representation: Representation?
}

extension ImageRecord: Codable {
  /// The version of the record; a newer one is refused.
  private static let format = 1

  private enum CodingKeys: String, CodingKey {
    case format, id, name, provider, providerData, source, createdSeconds, createdNanoseconds
    case phase, representation
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let format = try values.decode(Int.self, forKey: .format)
    guard format == Self.format else {
      throw DecodingError.dataCorruptedError(
        forKey: .format, in: values,
        debugDescription: "its format is \(format), this floe knows \(Self.format)")
    }
    id = try UniqueIdentifier(in: values, forKey: .id)
    name = try values.decode(String.self, forKey: .name)
    provider = try values.decode(String.self, forKey: .provider)
    providerData = try values.decode(String.self, forKey: .providerData)
    source = try values.decode(String.self, forKey: .source)
    created = Timestamp(
      seconds: try values.decode(Int64.self, forKey: .createdSeconds),
      nanoseconds: try values.decode(UInt32.self, forKey: .createdNanoseconds))
    phase = try values.decode(Phase.self, forKey: .phase)
    representation = try values.decodeIfPresent(Representation.self, forKey: .representation)
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(Self.format, forKey: .format)
    try values.encode(id.description, forKey: .id)
    try values.encode(name, forKey: .name)
    try values.encode(provider, forKey: .provider)
    try values.encode(providerData, forKey: .providerData)
    try values.encode(source, forKey: .source)
    try values.encode(created.seconds, forKey: .createdSeconds)
    try values.encode(created.nanoseconds, forKey: .createdNanoseconds)
    try values.encode(phase, forKey: .phase)
    try values.encodeIfPresent(representation, forKey: .representation)
  }
}

extension UniqueIdentifier {
  /// Decodes the text form.
  init<Key>(in values: KeyedDecodingContainer<Key>, forKey key: Key) throws {
    let text = try values.decode(String.self, forKey: key)
    guard let id = UniqueIdentifier(text) else {
      throw DecodingError.dataCorruptedError(
        forKey: key, in: values, debugDescription: "“\(text)” is not a UUID")
    }
    self = id
  }
}
