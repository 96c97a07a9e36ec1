/// Where a run of bytes lies in what is below it: in one piece, striped, mirrored, or both.
///
/// The run is cut into stripe elements of `stripeLength` bytes, which are dealt to
/// `columns` in turn, and every column has `copies` equal copies. A linear run has one
/// column and one copy; RAID1 and DUP have one column; RAID0 has one copy; RAID10 has both.
/// `Address` is a place below as its owner counts it: a store's, or a layer's.
public struct Placement<Address: Hashable & Sendable>: Hashable, Sendable {
  /// Number of columns, at least 1.
  public let columns: Int
  /// Number of copies of each column, at least 1.
  public let copies: Int
  /// Bytes of a stripe element, more than 0; without meaning for one column.
  public let stripeLength: UInt64
  /// Where the first byte of each column's copies lies: copy `k` of column `c` is at index
  /// `c * copies + k`.
  public let targets: [Address]

  /// Most columns times copies that a run may have.
  public static var maximumTargets: Int { 4096 }

  /// Checks the invariants above; `nil` when one of them does not hold.
  public init?(columns: Int, copies: Int, stripeLength: UInt64, targets: [Address]) {
    let (count, overflow) = columns.multipliedReportingOverflow(by: copies)
    guard columns >= 1, copies >= 1, !overflow, count == targets.count,
      count <= Self.maximumTargets, stripeLength > 0
    else { return nil }
    self.init(checked: columns, copies: copies, stripeLength: stripeLength, targets: targets)
  }

  private init(checked columns: Int, copies: Int, stripeLength: UInt64, targets: [Address]) {
    self.columns = columns
    self.copies = copies
    self.stripeLength = stripeLength
    self.targets = targets
  }

  /// A run that lies in one piece below.
  public static func linear(at target: Address) -> Self {
    Placement(checked: 1, copies: 1, stripeLength: .max, targets: [target])
  }

  /// A piece of the run that lies in one piece below.
  public struct Piece: Hashable, Sendable {
    /// Where the equal copies of the piece's column begin.
    public let copies: ArraySlice<Address>
    /// Bytes from there to the piece.
    public let offset: UInt64
    /// Bytes of the piece, at most what was asked for.
    public let length: UInt64
  }

  /// The piece that begins at a byte of the run.
  ///
  /// - Parameters:
  ///   - position: bytes from the start of the run.
  ///   - limit: most bytes of the piece.
  public func piece(at position: UInt64, limit: UInt64) -> Piece {
    guard columns > 1 else { return Piece(copies: targets[...], offset: position, length: limit) }
    let element = position / stripeLength
    let inElement = position % stripeLength
    let first = Int(element % UInt64(columns)) * copies
    return Piece(
      copies: targets[first..<first + copies],
      offset: element / UInt64(columns) * stripeLength + inElement,
      length: min(limit, stripeLength - inElement))
  }

  /// Bytes that a column holds of a run of `length` bytes.
  public func length(ofColumn column: Int, of length: UInt64) -> UInt64 {
    guard columns > 1 else { return length }
    let elements = length / stripeLength
    let whole = elements / UInt64(columns) * stripeLength
    let rest = elements % UInt64(columns)
    if UInt64(column) < rest { return whole + stripeLength }
    return UInt64(column) == rest ? whole + length % stripeLength : whole
  }

  /// The same placement of other addresses.
  public func map<Other>(
    _ address: (Address) throws -> Other
  ) rethrows -> Placement<Other> {
    Placement<Other>(
      checked: columns, copies: copies, stripeLength: stripeLength,
      targets: try targets.map(address))
  }
}
