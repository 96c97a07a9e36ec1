/// Where a run of bytes lies in what is below it: in one piece, striped, mirrored, or both.
///
/// The run is cut into stripe elements of `stripeLength` bytes, which are dealt to
/// `columns` in turn, and every column has `copies` equal copies. A linear run has one
/// column and one copy; RAID1 and DUP have one column; RAID0 has one copy; RAID10 has both.
/// Where parity lies between the elements of a column, its elements begin `columnStep` bytes
/// after each other: RAID5 over 3 media has 6 columns, after which its layout repeats itself.
/// `Address` is a place below as its owner counts it: a store's, or a layer's.
public struct Placement<Address: Hashable & Sendable>: Hashable, Sendable {
  /// Number of columns, at least 1.
  public let columns: Int
  /// Number of copies of each column, at least 1.
  public let copies: Int
  /// Bytes of a stripe element, more than 0; without meaning for one column.
  public let stripeLength: UInt64
  /// Bytes below from where an element of a column begins to where its next one does, at
  /// least `stripeLength`, and mostly just that; without meaning for one column.
  public let columnStep: UInt64
  /// Where the first byte of each column's copies lies: copy `k` of column `c` is at index
  /// `c * copies + k`.
  public let targets: [Address]
  /// What is known of the copies.
  public let copyState: CopyState

  /// Most columns times copies that a run may have.
  public static var maximumTargets: Int { 4096 }

  /// Checks the invariants above; `nil` when one of them does not hold.
  ///
  /// - Parameter columnStep: `nil` where the elements of a column lie one after the other.
  public init?(
    columns: Int, copies: Int, stripeLength: UInt64, columnStep: UInt64? = nil, targets: [Address],
    copyState: CopyState = .unknown
  ) {
    let (count, overflow) = columns.multipliedReportingOverflow(by: copies)
    guard columns >= 1, copies >= 1, !overflow, count == targets.count,
      count <= Self.maximumTargets, stripeLength > 0, columnStep ?? .max >= stripeLength
    else { return nil }
    self.init(
      checked: columns, copies: copies, stripeLength: stripeLength,
      columnStep: columns == 1 ? stripeLength : columnStep ?? stripeLength, targets: targets,
      copyState: copyState)
  }

  private init(
    checked columns: Int, copies: Int, stripeLength: UInt64, columnStep: UInt64,
    targets: [Address], copyState: CopyState
  ) {
    self.columns = columns
    self.copies = copies
    self.stripeLength = stripeLength
    self.columnStep = columnStep
    self.targets = targets
    self.copyState = copyState
  }

  /// A run that lies in one piece below.
  public static func linear(at target: Address) -> Self {
    Placement(
      checked: 1, copies: 1, stripeLength: .max, columnStep: .max, targets: [target],
      copyState: .unknown)
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
      // Who made the placement knows that no end of it exceeds 64 bits (`length(ofColumn:of:)`).
      offset: element / UInt64(columns) &* columnStep &+ inElement,
      length: min(limit, stripeLength - inElement))
  }

  /// Bytes from the first to the last that a column holds of a run of `length` bytes, what
  /// lies between its elements included; `UInt64.max` when 64 bits cannot count them.
  public func length(ofColumn column: Int, of length: UInt64) -> UInt64 {
    guard columns > 1 else { return length }
    let elements = length / stripeLength
    let whole = elements / UInt64(columns)
    let rest = elements % UInt64(columns)
    let (rows, tail): (UInt64, UInt64) =
      if UInt64(column) < rest {
        (whole, stripeLength)
      } else if UInt64(column) == rest, length % stripeLength > 0 {
        (whole, length % stripeLength)
      } else {
        whole == 0 ? (0, 0) : (whole - 1, stripeLength)
      }
    let (start, overflow) = rows.multipliedReportingOverflow(by: columnStep)
    let (end, endOverflow) = start.addingReportingOverflow(tail)
    return overflow || endOverflow ? .max : end
  }

  /// The same placement of other addresses.
  public func map<Other>(
    _ address: (Address) throws -> Other
  ) rethrows -> Placement<Other> {
    Placement<Other>(
      checked: columns, copies: copies, stripeLength: stripeLength, columnStep: columnStep,
      targets: try targets.map(address), copyState: copyState)
  }
}

/// What is known of the copies of a run that is kept more than once.
///
/// A copy that is known to be behind, or is not there, is none of a placement's.
public enum CopyState: UInt8, Hashable, Sendable {
  /// A write may have reached only some of them. Where data checksums do not tell, none of
  /// them is read.
  case unknown = 0
  /// The metadata of whoever writes them prove that each copy has all that was written, so
  /// any may be read. A copy that falls behind later shows in the witness first.
  case inSync = 1
}
