/// How a volume's layers are found again from its media alone: what the provider that
/// described them needs to answer from the storage, on whatever host has the media.
///
/// Only that provider reads the bytes; everybody else passes them on.
public struct StorageTrail: Hashable, Sendable {
  /// Who reads the bytes ("stack").
  public let provider: String
  /// The provider's own description, 1 through `maximumLength` bytes.
  public let bytes: [UInt8]

  /// Most bytes of a description.
  public static let maximumLength = 65536

  /// `nil` when the bytes are too many or none.
  public init?(provider: String, bytes: [UInt8]) {
    guard (1...Self.maximumLength).contains(bytes.count) else { return nil }
    self.provider = provider
    self.bytes = bytes
  }
}
