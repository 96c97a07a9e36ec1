import FrozenImage

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// A snapshot of device-mapper, whose log of writes is replayed.
struct LoggedSnapshot {
  let name: String
  /// Bytes of the device that was recorded.
  let size: Int
  /// Bytes that are moved as one.
  let chunk: Int
  /// floe's own map of the snapshot, from what a medium holds.
  let map: (ReplayedMedium) throws -> LayerMap
  /// Whether a write is one of those that tell of changes.
  let isWitness: (Range<Int>) -> Bool
  /// Whether the kernel itself shows others' bytes in this chunk, if it lost power now: a gap
  /// that stands in docs/ASSUMPTIONS.md.
  let isKernelsGap: (LayerMap, _ place: Int) -> Bool
}

/// Looks at every prefix of a log: whoever reads the media at that moment, or after a loss of
/// power, has to get the frozen bytes of a snapshot, or none.
///
/// A reader of floe has the map that it made when the witness changed last, and takes what it
/// reads there as long as that stays. So after each write the map has to show the frozen bytes
/// where the write touched them, and a new map all that moved.
struct SnapshotOrder {
  struct Outcome: CustomStringConvertible {
    /// Prefixes since the freeze.
    var prefixes = 0
    /// States of the witness that floe read a map in.
    var states = 0
    /// Prefixes at which floe had no map although the snapshot was there.
    var refused = 0
    /// Chunks that lay, at the freeze, where others' bytes came later.
    var reused = 0
    /// Whether floe says at the end that the snapshot is gone.
    var isGone = false
    /// Prefixes at which a chunk shows others' bytes for a reason that is known.
    var gaps = 0
    /// The first prefixes at which a chunk shows others' bytes.
    var violations: [String] = []

    var description: String {
      "\(prefixes) prefixes, \(states) states, \(refused) refused, \(reused) places reused, "
        + "\(gaps) in the kernel's gap, \(violations.count) violations \(violations.prefix(3))"
    }
  }

  private let snapshot: LoggedSnapshot
  private let medium: ReplayedMedium
  private var outcome = Outcome()
  /// What the snapshot held when it was frozen, and where; empty before.
  private var frozen: [UInt8] = []
  private var first: [Int: Int] = [:]
  private var reused: Set<Int> = []
  /// What a reader has; `nil` where floe gives it nothing.
  private var map: LayerMap?
  /// Of each chunk the place on the medium; `nil` where it reads as zeros.
  private var places: [Int?] = []
  /// The chunk at each place.
  private var chunks: [Int: Int] = [:]
  private var windows: [(range: Range<Int>, bytes: [UInt8])] = []

  /// - Parameter dropsWitness: leaves out, from the freeze on, the writes that tell of changes;
  ///   the order has to be found broken then.
  static func replay(
    _ log: WriteLog, of snapshot: LoggedSnapshot, dropsWitness: Bool = false
  ) throws -> Outcome {
    var order = SnapshotOrder(snapshot)
    for entry in log.entries {
      if case .mark("frozen") = entry { try order.freeze() }
      if dropsWitness, !order.frozen.isEmpty, order.isWitness(entry) { continue }
      guard let range = order.medium.apply(entry), !order.frozen.isEmpty else { continue }
      order.look(after: range)
    }
    order.outcome.reused = order.reused.count
    return order.outcome
  }

  private init(_ snapshot: LoggedSnapshot) {
    self.snapshot = snapshot
    medium = ReplayedMedium(size: snapshot.size)
  }

  private func isWitness(_ entry: WriteLog.Entry) -> Bool {
    guard case .write(let offset, let bytes) = entry else { return false }
    return snapshot.isWitness(offset..<offset + bytes.count)
  }

  private mutating func freeze() throws {
    let map = try snapshot.map(medium)
    frozen = try Layer(map).bytes(at: 0, count: Int(map.size))
    try take(map)
    first = chunks
  }

  private mutating func look(after range: Range<Int>) {
    outcome.prefixes += 1
    let touched = range.lowerBound / snapshot.chunk...(range.upperBound - 1) / snapshot.chunk
    for place in touched where first[place] != nil { reused.insert(place) }
    var suspects = Set(touched.compactMap { chunks[$0] })
    // A map that could not be made is tried again with each write.
    let isOld = windows.contains {
      $0.range.overlaps(range) && medium.bytes(in: $0.range) != $0.bytes
    }
    if isOld || map == nil { suspects.formUnion(renew()) }
    let wrong = suspects.sorted().filter { !isRight($0) }
    guard let chunk = wrong.first, let map else { return }
    let isKnown = wrong.allSatisfy { chunk in
      places[chunk].map { snapshot.isKernelsGap(map, $0) } ?? false
    }
    if isKnown {
      outcome.gaps += 1
    } else {
      outcome.violations.append(
        "prefix \(outcome.prefixes): \(wrong.count) chunks, the first \(chunk)")
    }
  }

  /// Makes the map anew; returns the chunks that moved.
  private mutating func renew() -> [Int] {
    let before = places
    do {
      try take(snapshot.map(medium))
      outcome.isGone = false
      return places.indices.filter { before.isEmpty || places[$0] != before[$0] }
    } catch {
      outcome.isGone = (error as? StackError)?.isGone ?? false
      if !outcome.isGone { outcome.refused += 1 }
      map = nil
      (places, chunks) = ([], [:])
      return []
    }
  }

  private mutating func take(_ map: LayerMap) throws {
    self.map = map
    outcome.states += 1
    places = [Int?](repeating: nil, count: Int(map.size) / snapshot.chunk)
    chunks = [:]
    let bases = map.lower.map { Int($0.base?.offset ?? 0) }
    for run in map.runs {
      guard case .below(let placement) = run.content, let target = placement.targets.first else {
        continue
      }
      let start = bases[target.layer] + Int(target.offset)
      for chunk in Int(run.range.lowerBound) / snapshot.chunk..<Int(run.range.upperBound)
        / snapshot.chunk
      {
        let place = start + chunk * snapshot.chunk - Int(run.range.lowerBound)
        places[chunk] = place
        chunks[place / snapshot.chunk] = chunk
      }
    }
    windows = (map.witness + map.vacant).flatMap { window in
      let start = bases[window.layer] + Int(window.offset)
      return window.fragments.map { fragment in
        let range = start + fragment.offset..<start + fragment.offset + fragment.length
        return (range, medium.bytes(in: range))
      }
    }
  }

  private func isRight(_ chunk: Int) -> Bool {
    guard places.indices.contains(chunk) else { return true }
    let own = frozen[chunk * snapshot.chunk..<(chunk + 1) * snapshot.chunk]
    guard let place = places[chunk] else { return own.allSatisfy { $0 == 0 } }
    return medium.holds(own, at: place)
  }
}
