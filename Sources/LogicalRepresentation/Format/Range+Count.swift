extension Range<UInt64> {
  /// The count of its elements, which an `Int` need not hold.
  var count64: UInt64 { upperBound - lowerBound }
}
