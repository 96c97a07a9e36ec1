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
///
/// One shape covers linear, striped and mirrored extents: the run is cut into
/// stripe elements of `stripeLength` bytes that are dealt to `columns` in turn,
/// and every column has `copies` equal copies. A linear extent has one column
/// and one copy; RAID1 and DUP have one column; RAID0 has one copy; RAID10 has
/// both.
public struct StoreExtent: Hashable, Sendable {
  /// Bytes from the start of the store.
  public let offset: UInt64
  /// Bytes of the run, more than 0.
  public let length: UInt64
  /// Number of columns, at least 1.
  public let columns: Int
  /// Number of copies of each column, at least 1.
  public let copies: Int
  /// Bytes of a stripe element, more than 0; without meaning for one column.
  public let stripeLength: UInt64
  /// Where the first byte of each column's copies lies: copy `k` of column `c`
  /// is at index `c * copies + k`.
  public let targets: [StoreAddress]

  /// Most columns times copies that an extent may have.
  public static let maximumTargets = 4096

  /// Checks the invariants above.
  ///
  /// - Throws: `ChainError.malformedExtent` when the counts do not fit the
  ///   targets, a length is 0, or an end exceeds 64 bits.
  public init(
    offset: UInt64, length: UInt64, columns: Int, copies: Int, stripeLength: UInt64,
    targets: [StoreAddress]
  ) throws(ChainError) {
    let (count, overflow) = columns.multipliedReportingOverflow(by: copies)
    guard columns >= 1, copies >= 1, !overflow, count == targets.count,
      count <= Self.maximumTargets, length > 0, stripeLength > 0,
      !offset.addingReportingOverflow(length).overflow,
      targets.allSatisfy({ !$0.offset.addingReportingOverflow(length).overflow })
    else { throw .malformedExtent(offset: offset) }
    self.offset = offset
    self.length = length
    self.columns = columns
    self.copies = copies
    self.stripeLength = stripeLength
    self.targets = targets
  }

  /// A run that lies in one piece below.
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
public enum ChainError: Error, Hashable, Sendable {
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

extension ChainError: CustomStringConvertible {
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
