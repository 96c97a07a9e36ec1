import FrozenImage

/// What is known about the mapping beyond the representation: which file bytes
/// may lie elsewhere than it says, and where those lie that were asked for since.
///
/// It costs what was changed and read, not what the image holds.
struct Overlay {
  /// Most runs and extents together that are remembered; past that all are
  /// forgotten and asked for again when they are read.
  static let costLimit = 1 << 20

  /// File bytes for which the representation's extents prove nothing any more.
  private(set) var changed = KeyRanges()
  /// Where such bytes lie, as far as asked: disjoint, in ascending order.
  private var runs: [MappingAnswer.Located] = []
  private var cost = 0

  /// Runs that are remembered.
  var count: Int { changed.ranges.count + cost }

  /// How the bytes of a range are known.
  enum Knowledge: Equatable {
    /// The representation's extents hold.
    case base
    /// These extents hold, clipped to the range; a gap is a hole.
    case located([FileExtent])
    /// Nobody knows: to be asked.
    case unknown
  }

  /// Splits a portion into runs of bytes that are known in the same way, in order.
  func knowledge(of portion: Portion) -> [(range: Range<UInt64>, knowledge: Knowledge)] {
    let keys = portion.keys
    guard changed.intersects(keys) else { return [(portion.range, .base)] }
    var result: [(range: Range<UInt64>, knowledge: Knowledge)] = []
    var position = portion.range.lowerBound
    func fill(upTo end: UInt64) {
      guard position < end else { return }
      let gap = position..<end
      for part in changed.intersections(with: Portion(inode: portion.inode, range: gap).keys) {
        let unknown = part.offsets(ofInode: portion.inode, within: gap)
        guard !unknown.isEmpty else { continue }
        if position < unknown.lowerBound { result.append((position..<unknown.lowerBound, .base)) }
        result.append((unknown, .unknown))
        position = unknown.upperBound
      }
      if position < end { result.append((position..<end, .base)) }
      position = end
    }
    for run in runs[firstRun(endingAfter: keys.lowerBound)...] {
      guard run.keys.lowerBound < keys.upperBound else { break }
      let covered = run.keys.clamped(to: keys)
      let range = covered.offsets(ofInode: portion.inode, within: portion.range)
      guard !range.isEmpty else { continue }
      fill(upTo: range.lowerBound)
      let extents = run.extents.lazy.filter { $0.inode == portion.inode }
        .compactMap { $0.extent.clipped(to: range) }
      result.append((range, .located(Array(extents))))
      position = range.upperBound
    }
    fill(upTo: portion.range.upperBound)
    return result
  }

  private func firstRun(endingAfter key: FileKey) -> Int {
    runs.partitioningIndex { $0.keys.upperBound > key }
  }

  /// Marks file bytes as unknown.
  mutating func invalidate(_ changes: MappingAnswer.Changes) {
    changed.insert(changes)
    switch changes {
    case .everything:
      runs = []
      cost = 0
    case .ranges(let ranges):
      for range in ranges { forget(range) }
      limitCost(adding: 0)
    }
  }

  /// Takes an answer's extents for the keys that it covers.
  mutating func insert(_ located: MappingAnswer.Located) {
    guard !located.keys.isEmpty else { return }
    forget(located.keys)
    limitCost(adding: located.cost)
    runs.insert(located, at: firstRun(endingAfter: located.keys.lowerBound))
    cost += located.cost
  }

  private mutating func limitCost(adding more: Int) {
    guard cost + more > Self.costLimit else { return }
    runs = []
    cost = 0
  }

  /// Cuts a range of keys out of the runs.
  private mutating func forget(_ keys: Range<FileKey>) {
    let start = firstRun(endingAfter: keys.lowerBound)
    var end = start
    var kept: [MappingAnswer.Located] = []
    while end < runs.count, runs[end].keys.lowerBound < keys.upperBound {
      let run = runs[end]
      cost -= run.cost
      if run.keys.lowerBound < keys.lowerBound {
        kept.append(run.clipped(to: run.keys.lowerBound..<keys.lowerBound))
      }
      if keys.upperBound < run.keys.upperBound {
        kept.append(run.clipped(to: keys.upperBound..<run.keys.upperBound))
      }
      end += 1
    }
    cost += kept.reduce(0) { $0 + $1.cost }
    runs.replaceSubrange(start..<end, with: kept)
  }
}

extension Range<FileKey> {
  /// The byte offsets of one file that the range holds, within bounds.
  fileprivate func offsets(ofInode inode: UInt64, within bounds: Range<UInt64>) -> Range<UInt64> {
    guard lowerBound.inode <= inode, inode <= upperBound.inode else {
      return bounds.lowerBound..<bounds.lowerBound
    }
    let start = lowerBound.inode < inode ? 0 : lowerBound.offset
    let end = inode < upperBound.inode ? .max : upperBound.offset
    return (start..<Swift.max(start, end)).clamped(to: bounds)
  }
}

extension MappingAnswer.Located {
  /// What remembering the run costs.
  fileprivate var cost: Int { 1 + extents.count }

  fileprivate func clipped(to keys: Range<FileKey>) -> MappingAnswer.Located {
    let extents = extents.compactMap { item -> MappingAnswer.Extent? in
      let range = keys.offsets(ofInode: item.inode, within: 0..<UInt64.max)
      return item.extent.clipped(to: range).map {
        MappingAnswer.Extent(inode: item.inode, extent: $0)
      }
    }
    return MappingAnswer.Located(keys: keys, extents: extents)
  }
}
