import FrozenImage

/// A set of file bytes, kept as disjoint ranges of keys in ascending order.
///
/// It never grows beyond `limit` ranges: past that it becomes "everything", which
/// is always a sound thing to say about what may have changed.
struct KeyRanges: Equatable {
  static let limit = 65536

  private(set) var ranges: [Range<FileKey>] = []

  static let everything = KeyRanges(ranges: [FileKey.first..<FileKey.last])

  init(ranges: [Range<FileKey>] = []) {
    self.ranges = ranges
  }

  var isEmpty: Bool { ranges.isEmpty }

  /// The index of the first range that ends after `key`.
  private func firstIndex(endingAfter key: FileKey) -> Int {
    ranges.partitioningIndex { $0.upperBound > key }
  }

  /// Whether any byte of `range` is in the set.
  func intersects(_ range: Range<FileKey>) -> Bool {
    guard !range.isEmpty else { return false }
    let index = firstIndex(endingAfter: range.lowerBound)
    return index < ranges.count && ranges[index].lowerBound < range.upperBound
  }

  /// The parts of `range` that are in the set, in ascending order.
  func intersections(with range: Range<FileKey>) -> [Range<FileKey>] {
    ranges[firstIndex(endingAfter: range.lowerBound)...]
      .prefix { $0.lowerBound < range.upperBound }
      .map { $0.clamped(to: range) }
  }

  mutating func insert(_ range: Range<FileKey>) {
    guard !range.isEmpty else { return }
    var merged = range
    // A range that only touches the new one is swallowed too, to stay short.
    var start = firstIndex(endingAfter: range.lowerBound)
    if start > 0, ranges[start - 1].upperBound == range.lowerBound { start -= 1 }
    var end = start
    while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
      merged =
        min(
          merged.lowerBound, ranges[end].lowerBound)..<max(
          merged.upperBound, ranges[end].upperBound)
      end += 1
    }
    ranges.replaceSubrange(start..<end, with: CollectionOfOne(merged))
    if ranges.count > Self.limit { self = .everything }
  }

  mutating func insert(_ changes: MappingAnswer.Changes) {
    switch changes {
    case .everything: self = .everything
    case .ranges(let ranges): for range in ranges { insert(range) }
    }
  }
}

extension MappingAnswer.Changes {
  /// Whether a byte of `keys` is among what may have changed.
  func touch(_ keys: Range<FileKey>) -> Bool {
    switch self {
    case .everything: true
    case .ranges(let ranges): ranges.contains { $0.overlaps(keys) }
    }
  }
}
