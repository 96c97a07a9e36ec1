/// The values that were used last, up to a number of them. One more takes the place of the
/// one that was not used for the longest time.
///
/// For tens of values: finding that one looks at all of them.
package struct LeastRecentlyUsed<Key: Hashable, Value> {
  private var entries: [Key: (value: Value, lastUse: UInt64)] = [:]
  private var uses: UInt64 = 0
  private let limit: Int

  /// - Parameter limit: most values that are kept; at least one is.
  package init(limit: Int) {
    self.limit = max(limit, 1)
  }

  /// A value, which counts as used now; `nil` when it is not kept.
  package mutating func value(for key: Key) -> Value? {
    guard let value = entries[key]?.value else { return nil }
    keep(value, for: key)
    return value
  }

  /// Keeps a value in the place of the key's last one, and drops another where it has to.
  package mutating func keep(_ value: Value, for key: Key) {
    if entries[key] == nil, entries.count >= limit,
      let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key
    {
      entries[oldest] = nil
    }
    uses += 1
    entries[key] = (value, uses)
  }
}

extension LeastRecentlyUsed: Sendable where Key: Sendable, Value: Sendable {}
