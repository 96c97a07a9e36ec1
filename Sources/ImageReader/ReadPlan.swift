public import FrozenImage

/// Where each byte of a portion is to be fetched from.
public struct ReadPlan: Sendable, Equatable {
  public enum Source: Sendable, Hashable {
    /// A hole, or space that was never written.
    case zeros
    /// The representation's heap, at this offset.
    case inline(heapOffset: UInt64)
    /// A medium; the copies are equal, and the first is to be tried first.
    case media([MediumAddress])
    /// The production host: an encoding that is not decoded here, a mirror that
    /// nothing can judge, or a medium that cannot be reached.
    case productionHost
  }

  public struct Piece: Sendable, Hashable {
    /// Bytes of the file.
    public let range: Range<UInt64>
    public let source: Source
  }

  /// In ascending order, without gap or overlap, from the portion's start to its end.
  public let pieces: [Piece]
  /// The media that the plan may read.
  public let media: Set<MediumID>
  /// The runs of the top store that the plan resolved, for comparing with what changed.
  public let stored: [StoreRun]

  /// A run of bytes in a store.
  public struct StoreRun: Sendable, Hashable {
    public let store: StoreID
    /// Bytes from the start of the store.
    public let range: Range<UInt64>
  }

  /// The first place on a medium that the plan reads.
  var firstPlace: MediumAddress? {
    for case .media(let copies) in pieces.lazy.map(\.source) { return copies.first }
    return nil
  }

  /// Whether a byte comes from a medium, so that it needs to be validated.
  public var readsMedia: Bool { !media.isEmpty }
}

/// What a portion consists of, as the representation tells it.
public struct PortionContent: Sendable {
  /// In ascending order, inside the portion; gaps are holes.
  public let extents: [FileExtent]
  /// The parts of the portion that have data checksums: ascending, disjoint.
  public let checksummed: [Range<UInt64>]

  public init(extents: [FileExtent], checksummed: [Range<UInt64>]) {
    self.extents = extents
    self.checksummed = checksummed
  }
}

/// Makes a plan from extents, a store map and the media that cannot be used.
struct Planner {
  let portion: Portion
  let content: PortionContent
  let map: StoreMap
  let lost: Set<MediumID>

  private var pieces: [ReadPlan.Piece] = []
  private var media: Set<MediumID> = []
  private var stored: [ReadPlan.StoreRun] = []
  private var position: UInt64

  init(portion: Portion, content: PortionContent, map: StoreMap, lost: Set<MediumID>) {
    self.portion = portion
    self.content = content
    self.map = map
    self.lost = lost
    position = portion.range.lowerBound
  }

  /// The plan, or `nil` when a part of the portion is of unknown place: the
  /// overlay does not know it, or its extent leads to no store extent.
  mutating func plan(with overlay: Overlay) -> ReadPlan? {
    for extent in content.extents {
      guard let extent = extent.clipped(to: portion.range) else { continue }
      guard case .stored = extent.source else {
        guard add(extent) else { return nil }
        continue
      }
      let part = Portion(inode: portion.inode, range: extent.offset..<extent.end)
      for (range, knowledge) in overlay.knowledge(of: part) {
        switch knowledge {
        case .unknown: return nil
        case .base:
          guard let extent = extent.clipped(to: range), add(extent) else { return nil }
        case .located(let extents):
          for extent in extents {
            guard add(extent) else { return nil }
          }
          fill(.zeros, upTo: range.upperBound)
        }
      }
    }
    fill(.zeros, upTo: portion.range.upperBound)
    return ReadPlan(pieces: pieces, media: media, stored: stored)
  }

  private mutating func fill(_ source: ReadPlan.Source, upTo end: UInt64) {
    guard position < end else { return }
    pieces.append(ReadPlan.Piece(range: position..<end, source: source))
    position = end
  }

  /// Adds a hole up to the extent, then the extent; `false` when it overlaps what
  /// is there already or leads to no store extent.
  private mutating func add(_ extent: FileExtent) -> Bool {
    fill(.zeros, upTo: extent.offset)
    guard position == extent.offset else { return false }
    switch extent.source {
    case .inline(let heapOffset): fill(.inline(heapOffset: heapOffset), upTo: extent.end)
    case .encoded: fill(.productionHost, upTo: extent.end)
    case .unwritten: fill(.zeros, upTo: extent.end)
    case .stored: return addStored(extent)
    }
    return true
  }

  /// Adds a stored extent, cut where checksums begin and end.
  private mutating func addStored(_ extent: FileExtent) -> Bool {
    for range in content.checksummed where range.overlaps(extent.offset..<extent.end) {
      let covered = range.clamped(to: extent.offset..<extent.end)
      guard addStored(extent, upTo: covered.lowerBound, checksummed: false),
        addStored(extent, upTo: covered.upperBound, checksummed: true)
      else { return false }
    }
    return addStored(extent, upTo: extent.end, checksummed: false)
  }

  private mutating func addStored(
    _ extent: FileExtent, upTo end: UInt64, checksummed: Bool
  ) -> Bool {
    guard position < end, let part = extent.clipped(to: position..<end) else { return true }
    guard case .stored(let address) = part.source,
      let runs = try? map.resolve(address, length: part.length)
    else { return false }
    stored.append(
      ReadPlan.StoreRun(
        store: address.store, range: address.offset..<address.offset + part.length))
    for run in runs {
      let usable = run.copies.filter { !lost.contains($0.medium) }
      // Without checksums nobody can tell which copy of a mirror is stale.
      let judged = checksummed || run.copies.count == 1
      let source: ReadPlan.Source = judged && !usable.isEmpty ? .media(usable) : .productionHost
      if case .media(let copies) = source { media.formUnion(copies.map(\.medium)) }
      fill(source, upTo: part.offset + run.position + run.length)
    }
    return true
  }
}
