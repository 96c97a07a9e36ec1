/// Where the extents of a logical volume lie, down to the physical volumes, in one
/// state of the group.
struct ExtentPlaces {
  /// An extent of a physical volume.
  struct Place: Hashable {
    let volume: VolumeIdentifier
    let extent: UInt64
  }

  /// Extents of the volume, one in every `stride`, that lie one after the other below.
  struct Piece {
    let first: UInt64
    let stride: UInt64
    let count: UInt64
    let elementSize: UInt64
    /// Where the first lies: in several places at once where it is mirrored, in none that
    /// is known where only the kernel knows it.
    let places: [Place]

    /// Pieces with another shape deal bytes to extents in another way.
    fileprivate var shape: [UInt64] { [stride, elementSize, first % stride] }
    fileprivate var rows: Range<UInt64> { first / stride..<first / stride + count }

    fileprivate func places(atRow row: UInt64) -> [Place] {
      places.map { Place(volume: $0.volume, extent: $0.extent + (row - rows.lowerBound)) }
    }
  }

  let pieces: [Piece]
  private let group: VolumeGroup

  private static let maximumNesting = 8

  /// - Returns: `nil` when the group has no such volume.
  init?(of id: VolumeIdentifier, in group: VolumeGroup) {
    guard let volume = group.logicalVolumes.first(where: { $0.id == id }) else { return nil }
    self.group = group
    pieces = volume.segments.flatMap { Self.pieces(of: $0, in: group) }
  }

  /// Extents of the volume.
  var count: UInt64 { pieces.reduce(0) { $0 + $1.count } }

  /// The first extent of these that is not where it was in an earlier state, nor was moved
  /// from there by a copy; `nil` when there is none.
  ///
  /// A move goes through a mirror, whose two places are equal (pvmove(8)), or to extents
  /// that were free: who gives a volume's extents to another takes them out of it first.
  func firstDeparture(from earlier: ExtentPlaces, count: UInt64) -> UInt64? {
    let own = Dictionary(grouping: pieces, by: \.shape)
    let used = earlier.usedExtents
    for piece in earlier.pieces where piece.first < count {
      // Beyond `count` nothing was frozen.
      let end =
        piece.rows.lowerBound
        + min(piece.count, (count - piece.first + piece.stride - 1) / piece.stride)
      var row = piece.rows.lowerBound
      let candidates = own[piece.shape] ?? []
      while row < end {
        guard let now = candidates.first(where: { $0.rows.contains(row) }) else {
          return row * piece.stride + piece.first % piece.stride
        }
        let next = min(end, now.rows.upperBound)
        let before = Set(piece.places(atRow: row))
        let after = now.places(atRow: row)
        let isFree =
          !after.isEmpty
          && after.allSatisfy { place in
            let range = place.extent..<place.extent + (next - row)
            return !(used[place.volume] ?? []).contains { $0.overlaps(range) }
          }
        guard !before.isEmpty, !before.isDisjoint(with: after) || isFree else {
          return row * piece.stride + piece.first % piece.stride
        }
        row = next
      }
    }
    return nil
  }

  /// Extents of physical volumes that any logical volume lies on.
  private var usedExtents: [VolumeIdentifier: [Range<UInt64>]] {
    var used: [VolumeIdentifier: [Range<UInt64>]] = [:]
    for segment in group.logicalVolumes.flatMap(\.segments) {
      let columns: [LogicalVolume.Column]
      let divisor: UInt64
      switch segment.layout {
      case .striped(let found, _): (columns, divisor) = (found, UInt64(max(found.count, 1)))
      case .mirrored(let found): (columns, divisor) = (found, 1)
      case .snapshot, .other: continue
      }
      let count = (segment.extents.upperBound - segment.extents.lowerBound) / divisor
      for column in columns {
        guard let member = group.member(column.volume) else { continue }
        used[member.id, default: []].append(column.extent..<column.extent + count)
      }
    }
    return used
  }

  private static func pieces(
    of segment: LogicalVolume.Segment, in group: VolumeGroup
  ) -> [Piece] {
    let start = segment.extents.lowerBound
    let count = segment.extents.upperBound - start
    switch segment.layout {
    case .striped(let columns, let elementSize) where columns.count > 1:
      let stride = UInt64(columns.count)
      return columns.enumerated().flatMap { index, column in
        runs(of: column, count: count / stride, in: group, depth: 0).map { run in
          Piece(
            first: start + UInt64(index) + run.start * stride, stride: stride, count: run.count,
            elementSize: elementSize, places: run.places)
        }
      }
    case .striped(let columns, _), .mirrored(let columns):
      return merged(columns, count: count, in: group, depth: 0).map { run in
        Piece(
          first: start + run.start, stride: 1, count: run.count, elementSize: 0,
          places: run.places)
      }
    case .snapshot, .other:
      return [Piece(first: start, stride: 1, count: count, elementSize: 0, places: [])]
    }
  }

  /// Extents from the start of a column.
  private struct Run {
    let start: UInt64
    let count: UInt64
    let places: [Place]
  }

  /// The runs of columns that hold the same bytes.
  private static func merged(
    _ columns: [LogicalVolume.Column], count: UInt64, in group: VolumeGroup, depth: Int
  ) -> [Run] {
    let legs = columns.map { runs(of: $0, count: count, in: group, depth: depth) }
    let cuts = Set(legs.joined().flatMap { [$0.start, $0.start + $0.count] }).sorted()
    return zip(cuts, cuts.dropFirst()).map { start, end in
      let places = legs.joined().compactMap { run -> [Place]? in
        guard run.start <= start, end <= run.start + run.count else { return nil }
        return run.places.map {
          Place(volume: $0.volume, extent: $0.extent + (start - run.start))
        }
      }
      return Run(start: start, count: end - start, places: places.flatMap { $0 })
    }
  }

  private static func runs(
    of column: LogicalVolume.Column, count: UInt64, in group: VolumeGroup, depth: Int
  ) -> [Run] {
    let unknown = [Run(start: 0, count: count, places: [])]
    if let member = group.member(column.volume) {
      return [
        Run(start: 0, count: count, places: [Place(volume: member.id, extent: column.extent)])
      ]
    }
    guard depth < maximumNesting, let part = group.logicalVolume(column.volume) else {
      return unknown
    }
    let wanted = column.extent..<column.extent + count
    var runs: [Run] = []
    for segment in part.segments where segment.extents.overlaps(wanted) {
      let range = segment.extents.clamped(to: wanted)
      let skipped = range.lowerBound - segment.extents.lowerBound
      let columns: [LogicalVolume.Column]
      switch segment.layout {
      case .striped(let found, _) where found.count == 1: columns = found
      case .mirrored(let found): columns = found
      default: return unknown
      }
      let below = columns.map {
        LogicalVolume.Column(volume: $0.volume, extent: $0.extent + skipped)
      }
      let length = range.upperBound - range.lowerBound
      for run in merged(below, count: length, in: group, depth: depth + 1) {
        runs.append(
          Run(
            start: range.lowerBound - column.extent + run.start, count: run.count,
            places: run.places))
      }
    }
    return runs.reduce(0) { $0 + $1.count } == count ? runs : unknown
  }
}
