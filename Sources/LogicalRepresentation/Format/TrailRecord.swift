import FrozenImage

/// How the layers of a volume are found again from its media. Trails lie in the order of
/// their volumes, at most one for each.
struct TrailRecord: Record {
  static let size = 40
  static let noun = "trail"

  /// Index of the volume.
  var volume: UInt64
  var provider: HeapReference
  var bytes: HeapReference

  init(volume: UInt64, provider: HeapReference, bytes: HeapReference) {
    self.volume = volume
    self.provider = provider
    self.bytes = bytes
  }

  package init(_ fields: inout FieldReader) {
    volume = fields.next()
    provider = fields.reference()
    bytes = fields.reference()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(volume)
    fields.put(provider)
    fields.put(bytes)
  }
}
