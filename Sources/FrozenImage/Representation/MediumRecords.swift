/// A medium of a volume. The fragments of its identity probe, then of its witness
/// probe, follow those of the medium before it.
struct MediumRecord: Record {
  static let size = 120
  static let noun = "medium"

  var id: UniqueIdentifier
  var size: UInt64
  var identity: ProbeFields
  /// Without fragments when the stack has no witness.
  var witness: ProbeFields
  var label: HeapReference
  var path: HeapReference
  var hardwareID: HeapReference
  var identityBytes: HeapReference

  /// The window of a probe, and how many fragments of it count.
  struct ProbeFields {
    var offset: UInt64 = 0
    var length: UInt32 = 0
    var fragmentCount: UInt32 = 0
  }

  init(
    _ medium: MediumDescription, label: HeapReference, path: HeapReference,
    hardwareID: HeapReference, identityBytes: HeapReference
  ) {
    id = medium.id.rawValue
    size = medium.size
    identity = ProbeFields(medium.identity)
    witness = medium.witness.map(ProbeFields.init) ?? ProbeFields()
    self.label = label
    self.path = path
    self.hardwareID = hardwareID
    self.identityBytes = identityBytes
  }

  init(_ fields: inout FieldReader) {
    id = fields.identifier()
    size = fields.next()
    identity = ProbeFields(
      offset: fields.next(), length: fields.next(), fragmentCount: fields.next())
    witness = ProbeFields(
      offset: fields.next(), length: fields.next(), fragmentCount: fields.next())
    label = fields.reference()
    path = fields.reference()
    hardwareID = fields.reference()
    identityBytes = fields.reference()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(size)
    for probe in [identity, witness] {
      fields.put(probe.offset)
      fields.put(probe.length)
      fields.put(probe.fragmentCount)
    }
    for bytes in [label, path, hardwareID, identityBytes] { fields.put(bytes) }
  }
}

extension MediumRecord.ProbeFields {
  init(_ probe: Probe) {
    offset = probe.offset
    // A window has at most 32,768 bytes, so no more fragments either.
    length = UInt32(probe.length)
    fragmentCount = UInt32(probe.fragments.count)
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
