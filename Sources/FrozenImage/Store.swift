/// An address space of bytes in the chain from a file down to the media.
public struct StoreID: Hashable, Comparable, Sendable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A place in a store.
public struct StoreAddress: Hashable, Sendable {
  /// The store that `offset` counts in.
  public let store: StoreID
  /// Bytes from the start of the store.
  public let offset: UInt64

  public init(store: StoreID, offset: UInt64) {
    self.store = store
    self.offset = offset
  }
}

/// What a store is made of.
public enum Store: Hashable, Sendable {
  /// The bytes of a medium, one to one.
  case physical(MediumID)
  /// A file system's address space or a logical volume: made of `StoreExtent`s
  /// that point into stores below.
  case logical(label: String)
}

/// A run of bytes in a logical store, and where it lies in the stores below.
public struct StoreExtent: Hashable, Sendable {
  /// Bytes from the start of the store.
  public let offset: UInt64
  /// Bytes of the run, more than 0.
  public let length: UInt64
  /// Where they lie.
  public let placement: Placement<StoreAddress>

  /// - Throws: `ChainError.malformedExtent` when the length is 0, or an end exceeds 64
  ///   bits.
  public init(
    offset: UInt64, length: UInt64, placement: Placement<StoreAddress>
  ) throws(ChainError) {
    // The first column is the longest.
    let column = placement.length(ofColumn: 0, of: length)
    let below = max(length, column)
    guard length > 0, placement.columns == 1 || column < .max,
      !offset.addingReportingOverflow(length).overflow,
      placement.targets.allSatisfy({ !$0.offset.addingReportingOverflow(below).overflow })
    else { throw .malformedExtent(offset: offset) }
    self.offset = offset
    self.length = length
    self.placement = placement
  }

  /// An extent of numbers that somebody else wrote.
  ///
  /// - Throws: `ChainError.malformedExtent` also when they do not make a `Placement`.
  public init(
    offset: UInt64, length: UInt64, columns: Int, copies: Int, stripeLength: UInt64,
    columnStep: UInt64? = nil, targets: [StoreAddress], copyState: CopyState = .unknown
  ) throws(ChainError) {
    guard
      let placement = Placement(
        columns: columns, copies: copies, stripeLength: stripeLength, columnStep: columnStep,
        targets: targets, copyState: copyState)
    else { throw .malformedExtent(offset: offset) }
    try self.init(offset: offset, length: length, placement: placement)
  }

  /// A run that lies in one piece below.
  ///
  /// - Throws: `ChainError.malformedExtent` when the length is 0 or an end is beyond 64 bits.
  public static func linear(
    offset: UInt64, length: UInt64, target: StoreAddress
  ) throws(ChainError) -> StoreExtent {
    try StoreExtent(
      offset: offset, length: length, columns: 1, copies: 1, stripeLength: length,
      targets: [target])
  }

  /// One past the last byte of the run.
  public var end: UInt64 { offset + length }
}

/// Why a chain cannot be resolved.
public enum ChainError: CodedError, Hashable {
  /// A store extent whose counts, lengths or ends make no sense.
  case malformedExtent(offset: UInt64)
  /// Two store extents of one store share bytes.
  case overlap(store: StoreID, offset: UInt64)
  /// A store that nothing describes.
  case unknownStore(StoreID)
  /// No store extent covers this place.
  case unmapped(StoreAddress)
  /// Stores that point at each other, or more than `StoreMap.maximumDepth` of them.
  case tooDeep(StoreID)
  /// A run that lies in more than `StoreMap.maximumRuns` pieces.
  case tooManyPieces(StoreAddress)
}

extension ChainError {
  public var code: ErrorCode { .malformed }

  public var description: String {
    switch self {
    case .malformedExtent(let offset): "the store extent at \(offset) is malformed"
    case .overlap(let store, let offset):
      "two extents of store \(store.rawValue) overlap at \(offset)"
    case .unknownStore(let store): "there is no store \(store.rawValue)"
    case .unmapped(let address):
      "no extent of store \(address.store.rawValue) covers offset \(address.offset)"
    case .tooDeep(let store): "the chain below store \(store.rawValue) loops or is too deep"
    case .tooManyPieces(let address):
      "store \(address.store.rawValue) lies in too many pieces at offset \(address.offset)"
    }
  }
}
