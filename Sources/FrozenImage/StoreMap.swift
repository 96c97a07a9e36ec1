/// The stores of a volume and what each is made of; resolves a run of a store
/// down to the media.
///
/// The invariants are checked once, here, so that resolving needs only bounds:
/// extents of a store are in ascending order, do not overlap, and point to stores
/// that exist; no chain is deeper than `maximumDepth`.
public struct StoreMap: Sendable, Equatable {
  /// Longest chain of stores that is resolved.
  public static let maximumDepth = 16

  /// What each store is, by its identifier.
  public let stores: [StoreID: Store]
  /// The extents of each logical store, in ascending order of offset.
  public let extents: [StoreID: [StoreExtent]]

  /// - Throws: `ChainError` when an invariant does not hold.
  public init(
    stores: [StoreID: Store], extents: [StoreID: [StoreExtent]]
  ) throws(ChainError) {
    self.stores = stores
    self.extents = extents
    for (store, run) in extents {
      guard case .logical = stores[store] else { throw .unknownStore(store) }
      for (extent, next) in zip(run, run.dropFirst()) where extent.end > next.offset {
        throw .overlap(store: store, offset: next.offset)
      }
      for target in run.lazy.flatMap(\.placement.targets) where stores[target.store] == nil {
        throw .unknownStore(target.store)
      }
    }
    var heights: [StoreID: Int] = [:]
    for store in extents.keys { _ = try height(of: store, depth: 1, known: &heights) }
  }

  /// How many stores the longest chain from a store down has. Each store is worked
  /// out once, however many paths lead to it; `depth` ends a loop.
  private func height(
    of store: StoreID, depth: Int, known: inout [StoreID: Int]
  ) throws(ChainError) -> Int {
    if let height = known[store] { return height }
    guard depth <= Self.maximumDepth else { throw .tooDeep(store) }
    var height = 1
    for next in Set((extents[store] ?? []).lazy.flatMap(\.placement.targets).map(\.store)) {
      height = max(height, try self.height(of: next, depth: depth + 1, known: &known) + 1)
    }
    guard height <= Self.maximumDepth else { throw .tooDeep(store) }
    known[store] = height
    return height
  }

  /// The extent that covers a place, found by binary search.
  public func extent(at address: StoreAddress) -> StoreExtent? {
    guard let run = extents[address.store] else { return nil }
    let found = run.partitioningIndex { $0.end > address.offset }
    guard found < run.count, run[found].offset <= address.offset else { return nil }
    return run[found]
  }

  /// One step down the chain: the run of bytes that begins at an address and lies
  /// in one piece in the store below.
  public struct Link: Hashable, Sendable {
    /// Bytes of the run, at most what was asked for.
    public let length: UInt64
    /// The equal copies of the run, in the store below.
    public let copies: [StoreAddress]
    /// What is known of them.
    public let copyState: CopyState
  }

  /// Resolves the first piece of a run of a logical store to the stores below.
  ///
  /// - Throws: `ChainError.unmapped` when no extent covers the address.
  public func step(from address: StoreAddress, length: UInt64) throws(ChainError) -> Link {
    guard let extent = extent(at: address) else { throw .unmapped(address) }
    let position = address.offset - extent.offset
    let piece = extent.placement.piece(
      at: position, limit: min(length, extent.length - position))
    return Link(
      length: piece.length,
      copies: piece.copies.map {
        StoreAddress(store: $0.store, offset: $0.offset + piece.offset)
      },
      copyState: extent.placement.copyState)
  }

  /// A run of bytes on the media.
  public struct PhysicalRun: Hashable, Sendable {
    /// Bytes from the start of the run that was resolved.
    public let position: UInt64
    /// Bytes.
    public let length: UInt64
    /// The places where the same bytes lie; at least one.
    public let copies: [MediumAddress]
    /// What is known of them; a single one is in sync.
    public let copyState: CopyState
  }

  /// Most copies of a run that are told apart.
  public static let maximumCopies = 64

  /// Most pieces that a run is resolved into: those of 32 MiB in sectors. Stripes of a
  /// byte would let a small map fill the memory.
  public static let maximumRuns = 65_536

  /// Resolves a run of a store down to the media, in ascending order of position.
  ///
  /// - Throws: `ChainError` when a part of the run is not mapped, or the run lies in too
  ///   many pieces.
  public func resolve(
    _ address: StoreAddress, length: UInt64
  ) throws(ChainError) -> [PhysicalRun] {
    guard !address.offset.addingReportingOverflow(length).overflow else { throw .unmapped(address) }
    var runs: [PhysicalRun] = []
    var position: UInt64 = 0
    while position < length {
      let start = StoreAddress(store: address.store, offset: address.offset + position)
      let piece = try firstRun(start, length: length - position, depth: 0)
      let run = PhysicalRun(
        position: position, length: piece.length, copies: piece.copies,
        copyState: piece.copyState)
      // Neighbours on the medium are read in one piece.
      if let last = runs.last, let joined = last.joined(with: run) {
        runs[runs.count - 1] = joined
      } else {
        guard runs.count < Self.maximumRuns else { throw .tooManyPieces(address) }
        runs.append(run)
      }
      position += piece.length
    }
    return runs
  }

  private func firstRun(
    _ address: StoreAddress, length: UInt64, depth: Int
  ) throws(ChainError) -> (length: UInt64, copies: [MediumAddress], copyState: CopyState) {
    guard depth < Self.maximumDepth else { throw .tooDeep(address.store) }
    switch stores[address.store] {
    case nil:
      throw .unknownStore(address.store)
    case .physical(let medium):
      return (length, [MediumAddress(medium: medium, offset: address.offset)], .inSync)
    case .logical:
      let link = try step(from: address, length: length)
      var shortest = link.length
      var copies: [MediumAddress] = []
      // Copies of copies are equal where all of them are.
      var state = link.copies.count == 1 ? .inSync : link.copyState
      for copy in link.copies where copies.count < Self.maximumCopies {
        let below = try firstRun(copy, length: shortest, depth: depth + 1)
        shortest = min(shortest, below.length)
        copies += below.copies
        if below.copyState == .unknown { state = .unknown }
      }
      return (shortest, copies, state)
    }
  }
}

/// A place on a medium.
public struct MediumAddress: Hashable, Sendable {
  /// The medium that `offset` counts on.
  public let medium: MediumID
  /// Bytes from the start of the medium.
  public let offset: UInt64

  public init(medium: MediumID, offset: UInt64) {
    self.medium = medium
    self.offset = offset
  }
}

extension StoreMap.PhysicalRun {
  /// This run and the next as one, when every copy goes on where it ended.
  fileprivate func joined(with next: StoreMap.PhysicalRun) -> StoreMap.PhysicalRun? {
    guard copies.count == next.copies.count, copyState == next.copyState,
      zip(copies, next.copies).allSatisfy({ copy, following in
        copy.medium == following.medium && copy.offset + length == following.offset
      })
    else { return nil }
    return StoreMap.PhysicalRun(
      position: position, length: length + next.length, copies: copies, copyState: copyState)
  }
}
