import FrozenImage

/// A mark of the state that a volume was described under. Marks lie in the order of their
/// volumes.
struct MarkRecord: Record {
  static let size = 48
  static let noun = "mark"

  var medium: UniqueIdentifier
  /// Bytes from the start of the medium.
  var offset: UInt64
  var bytes: HeapReference
  /// Index of the volume.
  var volume: UInt64

  init(medium: UniqueIdentifier, offset: UInt64, bytes: HeapReference, volume: UInt64) {
    self.medium = medium
    self.offset = offset
    self.bytes = bytes
    self.volume = volume
  }

  package init(_ fields: inout FieldReader) {
    medium = fields.identifier()
    offset = fields.next()
    bytes = fields.reference()
    volume = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(medium)
    fields.put(offset)
    fields.put(bytes)
    fields.put(volume)
  }
}
