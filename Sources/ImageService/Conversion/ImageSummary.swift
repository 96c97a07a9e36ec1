import FloeWire
import FoundationEssentials
public import FrozenImage

/// An image as a service lists it.
public struct ImageSummary: Hashable, Sendable {
  public let id: UniqueIdentifier
  /// A label for people, unique within the service.
  public let name: String
  /// The kind of volume stack ("btrfs").
  public let provider: String
  /// What was frozen, as the production host names it.
  public let source: String
  /// When it was frozen.
  public let created: Timestamp
  /// Bytes.
  public let representationLength: UInt64

  init(wire: Floe_V1_ImageSummary) throws(WireError) {
    id = try UniqueIdentifier(wire: wire.image, "an image")
    name = try wire.name.checked("an image's name")
    provider = try wire.provider.checked("an image's provider")
    source = try wire.source.checked("an image's source")
    created = Timestamp(seconds: wire.createdSeconds, nanoseconds: wire.createdNanoseconds)
    representationLength = wire.representationLength
  }
}
