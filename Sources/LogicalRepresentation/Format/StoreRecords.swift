import FrozenImage

/// A store of a volume. Its extents follow those of the store before it.
struct StoreRecord: Record {
  static let size = 48
  static let noun = "store"

  /// The values of `kind`.
  static let physical: UInt32 = 0
  static let logical: UInt32 = 1

  var id: UInt32
  var kind: UInt32
  /// Of a physical store; zeros for a logical one.
  var medium: UniqueIdentifier
  /// Of a logical store; empty for a physical one.
  var label: HeapReference
  var extentCount: UInt64

  init(
    id: UInt32, kind: UInt32, medium: UniqueIdentifier, label: HeapReference, extentCount: UInt64
  ) {
    self.id = id
    self.kind = kind
    self.medium = medium
    self.label = label
    self.extentCount = extentCount
  }

  init(_ fields: inout FieldReader) {
    id = fields.next()
    kind = fields.next()
    medium = fields.identifier()
    label = fields.reference()
    extentCount = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(id)
    fields.put(kind)
    fields.put(medium)
    fields.put(label)
    fields.put(extentCount)
  }
}

/// A store extent. Its `columns` × `copies` targets follow those of the extent
/// before it.
struct StoreExtentRecord: Record {
  static let size = 32
  static let noun = "store extent"

  var offset: UInt64
  var length: UInt64
  var stripeLength: UInt64
  var columns: UInt32
  var copies: UInt32

  init(_ extent: StoreExtent) {
    offset = extent.offset
    length = extent.length
    stripeLength = extent.placement.stripeLength
    // At most `Placement.maximumTargets`.
    columns = UInt32(extent.placement.columns)
    copies = UInt32(extent.placement.copies)
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    length = fields.next()
    stripeLength = fields.next()
    columns = fields.next()
    copies = fields.next()
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(length)
    fields.put(stripeLength)
    fields.put(columns)
    fields.put(copies)
  }
}

/// Where a copy of a column of a store extent begins.
struct StripeTargetRecord: Record {
  static let size = 16
  static let noun = "stripe target"

  var offset: UInt64
  var store: UInt32

  init(_ address: StoreAddress) {
    offset = address.offset
    store = address.store.rawValue
  }

  init(_ fields: inout FieldReader) {
    offset = fields.next()
    store = fields.next()
    fields.skip(4)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(offset)
    fields.put(store)
    fields.put(UInt32(0))
  }
}

/// What a store extent has beyond its record, where it has something.
struct PlacementRecord: Record {
  static let size = 24
  static let noun = "placement"

  /// Bit 0 of `flags`: the copies are in sync.
  static let inSync: UInt32 = 1

  /// Index of the store extent's record; placements are in ascending order of it.
  var extent: UInt64
  /// Bytes below from an element of a column to its next.
  var columnStep: UInt64
  var flags: UInt32

  /// - Returns: `nil` for an extent that its own record tells whole.
  init?(_ placement: Placement<StoreAddress>, extent: UInt64) {
    guard placement.isSpaced || placement.copyState != .unknown else { return nil }
    self.extent = extent
    columnStep = placement.columnStep
    flags = placement.copyState == .inSync ? Self.inSync : 0
  }

  init(_ fields: inout FieldReader) {
    extent = fields.next()
    columnStep = fields.next()
    flags = fields.next()
    fields.skip(4)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(extent)
    fields.put(columnStep)
    fields.put(flags)
    fields.put(UInt32(0))
  }
}

extension Placement {
  /// Whether something lies between the elements of a column.
  var isSpaced: Bool { columns > 1 && columnStep != stripeLength }
}
