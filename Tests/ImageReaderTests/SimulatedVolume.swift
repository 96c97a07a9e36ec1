import FrozenImage
import ImageReader
import Testing

/// A volume in memory that moves its blocks as a file system does: it copies a
/// block to a free place, commits by writing the witness of each medium in turn,
/// and only then lets anybody overwrite the old place.
///
/// One file, inode 1, of `blockCount` blocks; block `b` holds the byte `b + 1`.
/// Poison is 0xFF. The blocks lie on two media of `placeCount` blocks each.
struct SimulatedVolume {
  static let blockSize: UInt64 = 4096
  let blockCount: Int
  let placeCount: Int

  struct Place: Hashable {
    var medium: Int
    var block: Int
  }

  private(set) var contents: [[UInt8]]
  private(set) var places: [Place]
  /// The generation in which each block was last moved (uncommitted ones: the
  /// running generation).
  private(set) var movedIn: [UInt64]
  private(set) var generation: UInt64 = 10
  /// What each medium's witness shows.
  private(set) var witness: [UInt64] = [10, 10]
  /// The generation up to which the mapping is committed on every medium.
  var isCommitting: Bool { witness[0] != witness[1] }
  /// Places freed in the running transaction: not to be overwritten yet.
  private var pinned: Set<Place> = []
  private var pinnedByCommit: Set<Place> = []

  init(blockCount: Int, placeCount: Int) {
    self.blockCount = blockCount
    self.placeCount = placeCount
    contents = [[UInt8]](repeating: [UInt8](repeating: 0xFF, count: placeCount), count: 2)
    places = (0..<blockCount).map { Place(medium: $0 % 2, block: $0 / 2) }
    movedIn = [UInt64](repeating: 0, count: blockCount)
    for (block, place) in places.enumerated() {
      contents[place.medium][place.block] = UInt8(block + 1)
    }
  }

  /// Moves a block to a free place, if there is one.
  mutating func move(_ block: Int, using random: inout SeededGenerator) {
    let used = Set(places).union(pinned).union(pinnedByCommit)
    let free = (0..<2).flatMap { medium in
      (0..<placeCount).map { Place(medium: medium, block: $0) }
    }.filter { !used.contains($0) }
    guard let target = free.randomElement(using: &random) else { return }
    contents[target.medium][target.block] = UInt8(block + 1)
    pinned.insert(places[block])
    places[block] = target
    movedIn[block] = generation + 1
  }

  /// Writes one medium's witness; the second one completes the commit and frees
  /// what it moved away from.
  mutating func commitStep() {
    if !isCommitting {
      guard generation == witness[0] else { return }
      generation += 1
      pinnedByCommit = pinned
      pinned = []
      witness[0] = generation
    } else {
      witness[1] = generation
      pinnedByCommit = []
    }
  }

  /// Overwrites every place that nothing uses and that no commit holds.
  mutating func poison() {
    let used = Set(places).union(pinned).union(pinnedByCommit)
    for medium in 0..<2 {
      for block in 0..<placeCount where !used.contains(Place(medium: medium, block: block)) {
        contents[medium][block] = 0xFF
      }
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}

// MARK: The provider's side

extension SimulatedVolume {
  static let media = (0..<2).map { index in
    MediumID(rawValue: UniqueIdentifier(high: 1, low: UInt64(index)))
  }

  static func bytes(of generation: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: generation >> ($0 * 8)) }
  }

  static func generation(of bytes: [UInt8]) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  func configurationID(of generation: UInt64) -> ConfigurationID {
    ConfigurationID(
      entries: Self.media.map {
        ConfigurationID.Entry(medium: $0, bytes: Self.bytes(of: generation))
      })
  }

  /// What a check finds right now.
  var found: ConfigurationID {
    ConfigurationID(
      entries: zip(Self.media, witness).map {
        ConfigurationID.Entry(medium: $0, bytes: Self.bytes(of: $1))
      })
  }

  func extent(of block: Int) -> FileExtent {
    let place = places[block]
    let offset = UInt64(place.medium * placeCount + place.block) * Self.blockSize
    return FileExtent(
      offset: UInt64(block) * Self.blockSize, length: Self.blockSize,
      source: .stored(StoreAddress(store: StoreID(rawValue: 0), offset: offset)))
  }

  var map: StoreMap {
    get throws {
      let length = UInt64(placeCount) * Self.blockSize
      let extents = try (0..<2).map { index in
        try StoreExtent.linear(
          offset: UInt64(index) * length, length: length,
          target: StoreAddress(store: StoreID(rawValue: UInt32(index + 1)), offset: 0))
      }
      return try StoreMap(
        stores: [
          StoreID(rawValue: 0): .logical(label: "volume"),
          StoreID(rawValue: 1): .physical(Self.media[0]),
          StoreID(rawValue: 2): .physical(Self.media[1]),
        ], extents: [StoreID(rawValue: 0): extents])
    }
  }

  var descriptions: [MediumDescription] {
    get throws {
      let probe = try #require(
        Probe(offset: 0, length: 8, fragments: [Probe.Fragment(offset: 0, length: 8)]))
      return Self.media.enumerated().map { index, id in
        MediumDescription(
          id: id, label: "medium \(index)", size: UInt64(placeCount) * Self.blockSize, path: "",
          hardwareID: "", identity: probe, identityBytes: [], witness: probe)
      }
    }
  }

  /// The state of the last commit, and a full answer under it. The answer's tag
  /// is what was committed before the look; everything that moved in a running
  /// transaction is committed first.
  mutating func answer(_ question: MappingQuestion) -> MappingAnswer {
    // Only durable mappings are given out.
    while isCommitting || movedIn.contains(where: { $0 > generation }) { commitStep() }
    let known = Self.generation(of: question.known.cursor)
    let changed = (0..<blockCount).filter { movedIn[$0] > known }
    let blockSize = Self.blockSize
    return MappingAnswer(
      state: MappingState(
        configurationID: configurationID(of: generation), cursor: Self.bytes(of: generation)),
      changes: .ranges(
        changed.map { block in
          let start = UInt64(block) * blockSize
          return FileKey(inode: 1, offset: start)..<FileKey(inode: 1, offset: start + blockSize)
        }),
      volume: nil, behind: [],
      located: question.portions.map { portion in
        let blocks =
          Int(
            portion.range.lowerBound / blockSize)..<Int(
            portion.range.upperBound / blockSize)
        return MappingAnswer.Located(
          keys: portion.keys,
          extents: blocks.map { MappingAnswer.Extent(inode: 1, extent: extent(of: $0)) })
      })
  }
}
