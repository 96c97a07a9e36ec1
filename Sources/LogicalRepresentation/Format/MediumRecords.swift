import FrozenImage

/// A medium of a volume. The windows of its identity probe, then of its witness
/// probe, follow those of the medium before it.
struct MediumRecord: Record {
  static let size = 96
  static let noun = "medium"

  var id: UniqueIdentifier
  var size: UInt64
  /// Windows of the identity.
  var identityCount: UInt32
  /// Windows of the witness; 0 when the stack has none.
  var witnessCount: UInt32
  var label: HeapReference
  var path: HeapReference
  var hardwareID: HeapReference
  var identityBytes: HeapReference

  init(
    _ medium: MediumDescription, label: HeapReference, path: HeapReference,
    hardwareID: HeapReference, identityBytes: HeapReference
  ) {
    id = medium.id.rawValue
    size = medium.size
    identityCount = UInt32(medium.identity.windows.count)
    witnessCount = UInt32(medium.witness?.windows.count ?? 0)
    self.label = label
    self.path = path
    self.hardwareID = hardwareID
    self.identityBytes = identityBytes
  }

  init(_ fields: inout FieldReader) {
    id = fields.identifier()
    size = fields.next()
    identityCount = fields.next()
    witnessCount = fields.next()
    label = fields.reference()
    path = fields.reference()
    hardwareID = fields.reference()
    identityBytes = fields.reference()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(size)
    fields.put(identityCount)
    fields.put(witnessCount)
    for bytes in [label, path, hardwareID, identityBytes] { fields.put(bytes) }
  }
}

/// A window of a probe. Its fragments follow those of the window before it.
struct WindowRecord: Record {
  static let size = 16
  static let noun = "window"

  /// Bytes from the start of the medium.
  var offset: UInt64
  /// Bytes.
  var length: UInt32
  var fragmentCount: UInt32

  init(_ window: Probe.Window) {
    offset = window.offset
    // At most 32,768 bytes, so no more fragments either.
    length = UInt32(window.length)
    fragmentCount = UInt32(window.fragments.count)
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    length = fields.next()
    fragmentCount = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(length)
    fields.put(fragmentCount)
  }
}

/// A fragment of a probe's window.
struct FragmentRecord: Record {
  static let size = 8
  static let noun = "fragment"

  /// Bytes from the start of the window.
  var offset: UInt32
  /// Bytes.
  var length: UInt32

  init(_ fragment: Probe.Fragment) {
    offset = UInt32(fragment.offset)
    length = UInt32(fragment.length)
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    length = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(length)
  }
}
