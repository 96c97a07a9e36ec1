/// Where the extents of a logical volume lie, down to the physical volumes, in one
/// state of the group.
struct ExtentPlaces {
  /// An extent of a physical volume.
  struct Place: Hashable {
    let volume: VolumeIdentifier
    let extent: UInt64
  }

  /// How bytes are dealt to the extents of a segment.
  struct Shape: Hashable {
    /// Extents of the volume from one extent of a column to its next.
    let stride: UInt64
    let elementSize: UInt64
    /// Which of the extents in a stride are the column's.
    let phase: UInt64
  }

  /// Extents of the volume, one in every stride, that lie one after the other below.
  struct Piece {
    let shape: Shape
    /// Strides of the volume.
    let rows: Range<UInt64>
    /// Where the first lies: in several places at once where it is mirrored, in none that
    /// is known where only the kernel knows it.
    let places: [Place]

    init(first: UInt64, stride: UInt64, count: UInt64, elementSize: UInt64, places: [Place]) {
      shape = Shape(stride: stride, elementSize: elementSize, phase: first % stride)
      rows = first / stride..<first / stride + count
      self.places = places
    }

    /// Whether a row lies in one place at least in both.
    fileprivate func shares(_ row: UInt64, with other: Piece) -> Bool {
      places.contains { place in
        let extent = place.extent + (row - rows.lowerBound)
        return other.places.contains {
          $0.extent + (row - other.rows.lowerBound) == extent && $0.volume == place.volume
        }
      }
    }

    /// Whether nothing lies where these rows lie.
    fileprivate func isFree(
      _ part: Range<UInt64>, in used: [VolumeIdentifier: [Range<UInt64>]]
    ) -> Bool {
      !places.isEmpty
        && places.allSatisfy { place in
          let start = place.extent + (part.lowerBound - rows.lowerBound)
          let range = start..<start + (part.upperBound - part.lowerBound)
          return !(used[place.volume] ?? []).contains { $0.overlaps(range) }
        }
    }

    /// The first extent of the volume in a row.
    fileprivate func extent(atRow row: UInt64) -> UInt64 { row * shape.stride + shape.phase }
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
  var count: UInt64 { pieces.reduce(0) { $0 + UInt64($1.rows.count) } }

  /// The first extent of these that is not where it was in an earlier state, nor was moved
  /// from there by a copy; `nil` when there is none.
  ///
  /// A move goes through a mirror, whose two places are equal (pvmove(8)), or to extents
  /// that were free: who gives a volume's extents to another takes them out of it first.
  func firstDeparture(from earlier: ExtentPlaces, count: UInt64) -> UInt64? {
    let own = Dictionary(grouping: pieces, by: \.shape)
    // Both in ascending order, and most of them the same.
    var positions: [Shape: Int] = [:]
    var used: [VolumeIdentifier: [Range<UInt64>]]?
    for piece in earlier.pieces {
      let candidates = own[piece.shape] ?? []
      var position = positions[piece.shape] ?? 0
      var row = piece.rows.lowerBound
      // Beyond `count` nothing was frozen.
      while row < piece.rows.upperBound, piece.extent(atRow: row) < count {
        while position < candidates.count, candidates[position].rows.upperBound <= row {
          position += 1
        }
        guard position < candidates.count, candidates[position].rows.contains(row) else {
          return piece.extent(atRow: row)
        }
        let now = candidates[position]
        let next = min(piece.rows.upperBound, now.rows.upperBound)
        if !piece.shares(row, with: now) {
          let known = used ?? earlier.usedExtents
          used = known
          guard !piece.places.isEmpty, now.isFree(row..<next, in: known) else {
            return piece.extent(atRow: row)
          }
        }
        row = next
      }
      positions[piece.shape] = position
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
      case .mirrored(let found), .moving(let found, _): (columns, divisor) = (found, 1)
      // Images are volumes of their own.
      case .raid, .snapshot, .thin, .thinPool, .other: continue
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
    case .raid(let raid) where segment.type == "raid1":
      return pieces(of: raid.columns, from: start, count: count, in: group)
    case .raid(let raid):
      // Where an image has its extents is what counts, whatever md deals to them.
      let stride = UInt64(raid.images.count)
      return raid.columns.enumerated().flatMap { index, column in
        let count = group.logicalVolume(column.volume)?.extentCount ?? 0
        return runs(of: column, count: count, in: group, depth: 0).map { run in
          Piece(
            first: start + UInt64(index) + run.start * stride, stride: stride, count: run.count,
            elementSize: 1, places: run.places)
        }
      }
    case .striped(let columns, _), .mirrored(let columns), .moving(let columns, _):
      return pieces(of: columns, from: start, count: count, in: group)
    case .snapshot, .thin, .thinPool, .other:
      return [Piece(first: start, stride: 1, count: count, elementSize: 0, places: [])]
    }
  }

  /// Pieces of columns that each hold all extents.
  private static func pieces(
    of columns: [LogicalVolume.Column], from start: UInt64, count: UInt64, in group: VolumeGroup
  ) -> [Piece] {
    merged(columns, count: count, in: group, depth: 0).map { run in
      Piece(
        first: start + run.start, stride: 1, count: run.count, elementSize: 0, places: run.places)
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
      case .mirrored(let found), .moving(let found, _): columns = found
      case .raid(let raid) where segment.type == "raid1": columns = raid.columns
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
