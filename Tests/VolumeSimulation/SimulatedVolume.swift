package import SeededNumbers

/// A volume in memory that moves its blocks as a file system or a volume manager does:
/// it copies a block to a free place, commits by writing the witness of each medium in
/// turn, and only then lets anybody overwrite the old place.
///
/// One file, inode 1, of `blockCount` blocks; block `b` holds the byte `b + 1`. What was
/// overwritten is 0xFF. The blocks lie on two media of `placeCount` blocks each.
package struct SimulatedVolume {
  package static let blockSize: UInt64 = 4096
  package static let firstGeneration: UInt64 = 10

  /// What a move changes.
  package enum Layout: Sendable {
    /// The file's extents, as in a file system.
    case fileExtents
    /// The store's extents, as in a volume manager.
    case storeExtents
  }

  package struct Place: Hashable {
    package var medium: Int
    package var block: Int
  }

  /// Rules of the storage and of its provider that can be dropped, to prove that the
  /// simulation sees it.
  package struct Mutation: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }
    /// Mappings of the running transaction are given out.
    package static let givesOutUncommitted = Mutation(rawValue: 1)
    /// After a crash, generations are numbered from the start again.
    package static let reusesGenerations = Mutation(rawValue: 2)
    /// Freed places are overwritten before the commit that frees them.
    package static let overwritesBeforeTheWitness = Mutation(rawValue: 4)
    /// A medium that fell behind is not named.
    package static let hidesWhatIsBehind = Mutation(rawValue: 8)
    /// A new map does not tell that others may have held in between.
    package static let hidesSkippedStates = Mutation(rawValue: 16)
  }

  package let blockCount: Int
  package let placeCount: Int
  package let layout: Layout
  package var mutation: Mutation = []

  package private(set) var contents: [[UInt8]]
  package private(set) var places: [Place]
  /// The generation in which each block was last moved (uncommitted ones: the
  /// running generation).
  package private(set) var movedIn: [UInt64]
  /// The last generation whose commit began.
  package private(set) var generation = firstGeneration
  /// What each medium's witness shows.
  package private(set) var witness = [firstGeneration, firstGeneration]
  package private(set) var isCommitting = false
  /// Whether the second medium is not of the volume any more: it is written no more,
  /// and belongs to somebody else once that is committed.
  package private(set) var hasFallen = false
  /// Whether the image was given up: its blocks are free.
  package private(set) var isThawed = false

  /// What a crash falls back to.
  private var durable: (places: [Place], movedIn: [UInt64], isThawed: Bool)
  /// Places freed in the running transaction: not to be overwritten yet.
  private var pinned: Set<Place> = []
  private var pinnedByCommit: Set<Place> = []
  /// Writes of the live data that wait for a copy of the frozen data to be durable.
  private var heldWrites: [Place] = []
  private var heldByCommit: [Place] = []

  package init(blockCount: Int, placeCount: Int, layout: Layout = .fileExtents) {
    self.blockCount = blockCount
    self.placeCount = placeCount
    self.layout = layout
    contents = [[UInt8]](repeating: [UInt8](repeating: 0xFF, count: placeCount), count: 2)
    places = (0..<blockCount).map { Place(medium: $0 % 2, block: $0 / 2) }
    movedIn = [UInt64](repeating: 0, count: blockCount)
    durable = (places, movedIn, false)
    for (block, place) in places.enumerated() {
      contents[place.medium][place.block] = UInt8(block + 1)
    }
  }

  /// The media that are of the volume.
  var members: Range<Int> { 0..<(hasFallen ? 1 : 2) }

  private var allPlaces: [Place] {
    (0..<2).flatMap { medium in (0..<placeCount).map { Place(medium: medium, block: $0) } }
  }

  private func isFree(_ place: Place) -> Bool {
    !pinned.contains(place) && !pinnedByCommit.contains(place)
      && (isThawed || !places.contains(place))
  }

  /// Whether the production host can read a block.
  package func isReadable(_ block: Int) -> Bool { members.contains(places[block].medium) }

  /// Moves a block to a free place, if there is one; `false` when there is none.
  @discardableResult
  package mutating func move(_ block: Int, using random: inout SeededGenerator) -> Bool {
    guard !isThawed, isReadable(block),
      let target = allPlaces.filter({ members.contains($0.medium) && isFree($0) })
        .randomElement(using: &random)
    else { return false }
    contents[target.medium][target.block] = UInt8(block + 1)
    pinned.insert(places[block])
    places[block] = target
    movedIn[block] = generation + 1
    return true
  }

  /// A write of live data to where a frozen block lies: the block is copied away, and
  /// the write is held until that is durable.
  package mutating func copyOnWrite(_ block: Int, using random: inout SeededGenerator) -> Bool {
    let old = places[block]
    guard move(block, using: &random) else { return false }
    heldWrites.append(old)
    return true
  }

  /// Writes one medium's witness; the second one completes the commit and frees what
  /// it moved away from.
  package mutating func commitStep() {
    if !isCommitting {
      generation += 1
      isCommitting = true
      durable = (places, movedIn, isThawed)
      pinnedByCommit = pinned
      pinned = []
      heldByCommit = heldWrites
      heldWrites = []
      witness[0] = generation
    } else {
      if !hasFallen { witness[1] = generation }
      isCommitting = false
      pinnedByCommit = []
      for place in heldByCommit where isFree(place) { contents[place.medium][place.block] = 0xFF }
      heldByCommit = []
    }
  }

  /// Overwrites every place that nothing uses and that no commit holds.
  package mutating func poison() {
    for place in allPlaces {
      let isForeign = hasFallen && place.medium == 1 && !isCommitting
      let isEarly =
        mutation.contains(.overwritesBeforeTheWitness) && !places.contains(place)
      if isFree(place) || isForeign || isEarly { contents[place.medium][place.block] = 0xFF }
    }
  }

  /// The production host stops: what is not committed is lost. The newest witness wins.
  package mutating func crash() {
    (places, movedIn, isThawed) = durable
    generation = mutation.contains(.reusesGenerations) ? Self.firstGeneration - 1 : witness[0]
    isCommitting = false
    pinned = []
    pinnedByCommit = []
    heldWrites = []
    heldByCommit = []
  }

  /// The second medium falls out, and that is committed on the first.
  package mutating func loseSecondMedium() {
    guard !hasFallen, !isCommitting else { return }
    hasFallen = true
    commitStep()
  }

  /// The volume as its media tell of it: what was committed.
  package func committed() -> SimulatedVolume {
    var shown = self
    (shown.places, shown.movedIn, shown.isThawed) = durable
    return shown
  }

  /// The image is given up in the running transaction.
  package mutating func thaw() {
    guard !isThawed else { return }
    pinned.formUnion(places)
    isThawed = true
  }
}
