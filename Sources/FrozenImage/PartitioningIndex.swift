extension RandomAccessCollection {
  /// The index of the first element that has a property which every element behind it has
  /// too, found by binary search; `endIndex` where none has it.
  ///
  /// - Throws: what `holds` throws.
  @inlinable
  public func partitioningIndex<Failure>(
    where holds: (Element) throws(Failure) -> Bool
  ) throws(Failure) -> Index {
    var low = startIndex
    var count = self.count
    while count > 0 {
      let half = count / 2
      let middle = index(low, offsetBy: half)
      if try holds(self[middle]) {
        count = half
      } else {
        low = index(after: middle)
        count -= half + 1
      }
    }
    return low
  }
}
