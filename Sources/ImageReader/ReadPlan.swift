public import FrozenImage

/// Where each byte of a portion is to be fetched from.
public struct ReadPlan: Sendable, Equatable {
  /// Where a piece's bytes are.
  public enum Source: Sendable, Hashable {
    /// A hole, or space that was never written.
    case zeros
    /// The representation's heap, at this offset.
    case inline(heapOffset: UInt64)
    /// A medium; the copies are equal, and the first is to be tried first.
    case media([MediumAddress])
    /// A compressed run on the media, from its offset on.
    case compressed(CompressedSource)
    /// The production host: an encoding that is not decoded here, a mirror of which neither
    /// checksums nor its own metadata tell which copy is stale, or a medium that cannot be
    /// reached.
    case productionHost
    /// Nobody: they could not be read when the image was frozen, so a read fails.
    case unreadable
  }

  /// A compressed run, and where its stored bytes lie: they are read as a whole,
  /// verified and decoded.
  public struct CompressedSource: Sendable, Hashable {
    public let run: CompressedRun
    /// In ascending order, without gap or overlap, from the run's first stored byte to
    /// its last.
    public let places: [Place]
    /// Whether the representation has checksums of the stored bytes.
    public let isChecksummed: Bool
  }

  /// Where some stored bytes of a compressed run lie.
  public struct Place: Sendable, Hashable {
    /// Bytes from the start of the stored bytes.
    public let range: Range<Int>
    /// The copies are equal, and the first is to be tried first; at least one.
    public let copies: [MediumAddress]
  }

  /// A run of the portion that comes from one source.
  public struct Piece: Sendable, Hashable {
    /// Bytes of the file.
    public let range: Range<UInt64>
    /// Where the bytes come from, the first of them at its beginning.
    public let source: Source
  }

  /// In ascending order, without gap or overlap, from the portion's start to its end.
  public let pieces: [Piece]
  /// The media that the plan may read.
  public let media: Set<MediumID>
  /// The runs of the top store that the plan resolved, for comparing with what changed.
  public let stored: [StoreRun]
  /// Where all copies of those runs lay on the media when the plan was made.
  let places: [StoreMap.PhysicalRun]
  /// Whether it may differ from what the representation alone would tell.
  public let mayHaveMoved: Bool

  /// A run of bytes in a store.
  public struct StoreRun: Sendable, Hashable {
    /// The top store of the volume.
    public let store: StoreID
    /// Bytes from the start of the store.
    public let range: Range<UInt64>
  }

  /// The first place on a medium that the plan reads.
  var firstPlace: MediumAddress? {
    for source in pieces.lazy.map(\.source) {
      switch source {
      case .media(let copies): return copies.first
      case .compressed(let compressed): return compressed.places.first?.copies.first
      case .zeros, .inline, .productionHost, .unreadable: continue
      }
    }
    return nil
  }

  /// Whether a byte comes from a medium, so that it needs to be validated.
  public var readsMedia: Bool { !media.isEmpty }

  /// Whether a byte can only be had from the production host.
  var needsProductionHost: Bool { pieces.contains { $0.source == .productionHost } }

  /// The first byte that nobody can read.
  var firstUnreadable: UInt64? {
    pieces.first { $0.source == .unreadable }?.range.lowerBound
  }
}

/// What a portion consists of, as the representation tells it.
public struct PortionContent: Sendable {
  /// In ascending order, inside the portion; gaps are holes.
  public let extents: [FileExtent]
  /// The parts of the portion that are stored one to one and have data checksums:
  /// ascending, disjoint.
  public let checksummed: [Range<UInt64>]
  /// The compressed extents whose stored bytes have checksums, in ascending order,
  /// inside the portion.
  public let checksummedRuns: [FileExtent]

  public init(
    extents: [FileExtent], checksummed: [Range<UInt64>], checksummedRuns: [FileExtent] = []
  ) {
    self.extents = extents
    self.checksummed = checksummed
    self.checksummedRuns = checksummedRuns
  }

  /// The place in `checksummedRuns` of the extent that tells the checksums of an
  /// extent's compressed run; `nil` when none does.
  ///
  /// The run may lie elsewhere by now. Where another run holds the bytes by now (after
  /// dedupe), its checksums are not those that were described.
  public func checksummedRun(of extent: FileExtent) -> Int? {
    guard case .compressed(let run) = extent.source else { return nil }
    return checksummedRuns.firstIndex { described in
      guard let part = described.clipped(to: extent.offset..<extent.end),
        part.offset == extent.offset, part.length == extent.length,
        case .compressed(let then) = part.source
      else { return false }
      return then.isEncoded(as: run)
    }
  }
}

/// Makes a plan from extents, a store map and the media that cannot be used.
struct Planner {
  let portion: Portion
  let content: PortionContent
  let map: StoreMap
  let lost: Set<MediumID>

  private var mayHaveMoved: Bool
  private var pieces: [ReadPlan.Piece] = []
  private var media: Set<MediumID> = []
  private var stored: [ReadPlan.StoreRun] = []
  private var places: [StoreMap.PhysicalRun] = []
  private var position: UInt64

  /// - Parameter mapIsNew: whether the map is another one than the representation's.
  init(
    portion: Portion, content: PortionContent, map: StoreMap, lost: Set<MediumID>, mapIsNew: Bool
  ) {
    mayHaveMoved = mapIsNew
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
      guard extent.isOnMedia else {
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
          mayHaveMoved = true
          for extent in extents {
            guard add(extent) else { return nil }
          }
          fill(.zeros, upTo: range.upperBound)
        }
      }
    }
    fill(.zeros, upTo: portion.range.upperBound)
    return ReadPlan(
      pieces: pieces, media: media, stored: stored, places: places, mayHaveMoved: mayHaveMoved)
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
    case .unreadable: fill(.unreadable, upTo: extent.end)
    case .stored: return addStored(extent)
    case .compressed(let run): return addCompressed(extent, run)
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
    if places.isEmpty { places = runs } else { places += runs }
    for run in runs {
      let usable = usable(run, checksummed: checksummed)
      media.formUnion(usable.map(\.medium))
      fill(
        usable.isEmpty ? .productionHost : .media(usable),
        upTo: part.offset + run.position + run.length)
    }
    return true
  }

  /// Adds an extent of a compressed run: from the media when all of the run can be read
  /// there.
  private mutating func addCompressed(_ extent: FileExtent, _ run: CompressedRun) -> Bool {
    let length = UInt64(run.storedLength)
    guard let found = try? map.resolve(run.address, length: length) else { return false }
    let isChecksummed = content.checksummedRun(of: extent) != nil
    stored.append(
      ReadPlan.StoreRun(
        store: run.address.store, range: run.address.offset..<run.address.offset + length))
    self.places += found
    // The run has at most 1 MiB.
    let places = found.map { place in
      ReadPlan.Place(
        range: Int(place.position)..<Int(place.position + place.length),
        copies: usable(place, checksummed: isChecksummed))
    }
    guard !places.contains(where: \.copies.isEmpty) else {
      fill(.productionHost, upTo: extent.end)
      return true
    }
    for place in places { media.formUnion(place.copies.map(\.medium)) }
    fill(
      .compressed(
        ReadPlan.CompressedSource(run: run, places: places, isChecksummed: isChecksummed)),
      upTo: extent.end)
    return true
  }

  /// The copies that may be read.
  private func usable(_ run: StoreMap.PhysicalRun, checksummed: Bool) -> [MediumAddress] {
    // Without checksums, and without a proof that all copies are in sync, nobody can tell
    // which of them is stale.
    guard checksummed || run.copyState == .inSync else { return [] }
    return run.copies.filter { !lost.contains($0.medium) }
  }
}

extension FileExtent {
  /// Whether the bytes come from a store, so that they may come to lie elsewhere.
  fileprivate var isOnMedia: Bool {
    switch source {
    case .stored, .compressed: true
    case .unwritten, .inline, .encoded, .unreadable: false
    }
  }
}
