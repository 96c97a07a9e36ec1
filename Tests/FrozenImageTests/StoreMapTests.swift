import FrozenImage
import SeededNumbers
import Testing

/// A chain of stores, resolved byte by byte in the plainest way: what `StoreMap` must
/// agree with.
private struct FlatOracle {
  let stores: [StoreID: Store]
  let extents: [StoreID: [StoreExtent]]

  /// Every place where a byte of a store lies; empty when it is not mapped.
  func places(_ store: StoreID, _ offset: UInt64) -> [MediumAddress] {
    if case .physical(let medium)? = stores[store] {
      return [MediumAddress(medium: medium, offset: offset)]
    }
    for extent in extents[store] ?? []
    where extent.offset <= offset && offset - extent.offset < extent.length {
      // Walk the run's stripe elements one at a time, dealing them to the columns.
      var position = offset - extent.offset
      var column = 0
      var below: UInt64 = 0
      while extent.placement.columns > 1, position >= extent.placement.stripeLength {
        position -= extent.placement.stripeLength
        column += 1
        if column == extent.placement.columns {
          column = 0
          below += extent.placement.columnStep
        }
      }
      return (0..<extent.placement.copies).flatMap { copy in
        let target = extent.placement.targets[column * extent.placement.copies + copy]
        return places(target.store, target.offset + below + position)
      }
    }
    return []
  }
}

@Suite struct StoreMapTests {
  private static let mediumSize: UInt64 = 4000
  private static let media = (0..<4).map {
    MediumID(rawValue: UniqueIdentifier(high: 1, low: UInt64($0)))
  }

  /// Four media and up to three levels of logical stores on them, cut at random into
  /// linear, striped and mirrored extents, with gaps in the uppermost.
  private func randomChain(
    levels: Int, _ generator: inout SeededGenerator
  ) throws -> (oracle: FlatOracle, top: StoreID, size: UInt64) {
    var stores: [StoreID: Store] = [:]
    var extents: [StoreID: [StoreExtent]] = [:]
    var below: [(store: StoreID, size: UInt64)] = []
    for (number, medium) in Self.media.enumerated() {
      let store = StoreID(rawValue: UInt32(number))
      stores[store] = .physical(medium)
      below.append((store, Self.mediumSize))
    }
    for level in 1...levels {
      var made: [(store: StoreID, size: UInt64)] = []
      for number in 0..<(level == levels ? 1 : 3) {
        let store = StoreID(rawValue: UInt32(level * 10 + number))
        stores[store] = .logical(label: "level \(level)")
        let run = try randomExtents(over: below, gaps: level == levels, &generator)
        extents[store] = run
        made.append((store, run.last?.end ?? 0))
      }
      below = made
    }
    return (FlatOracle(stores: stores, extents: extents), below[0].store, below[0].size)
  }

  private func randomExtents(
    over below: [(store: StoreID, size: UInt64)], gaps: Bool, _ generator: inout SeededGenerator
  ) throws -> [StoreExtent] {
    var run: [StoreExtent] = []
    var offset: UInt64 = 0
    for _ in 0..<8 {
      if gaps, generator.chance(30) { offset += .random(in: 1...100, using: &generator) }
      let columns = generator.chance(50) ? 1 : Int.random(in: 2...4, using: &generator)
      let copies = generator.chance(60) ? 1 : Int.random(in: 2...3, using: &generator)
      let length = UInt64.random(in: 1...300, using: &generator)
      let targets = try (0..<columns * copies).map { _ in
        let target = try #require(below.randomElement(using: &generator))
        return StoreAddress(
          store: target.store,
          offset: .random(in: 0...target.size - min(length, target.size), using: &generator))
      }
      // Short stores below can be left by long extents: cut those.
      let room = targets.map { target in
        (below.first { $0.store == target.store }?.size ?? 0) - target.offset
      }
      let stripe = UInt64.random(in: 1...64, using: &generator)
      let placement = try #require(
        Placement(
          columns: columns, copies: copies, stripeLength: stripe,
          columnStep: generator.chance(50) ? nil : stripe + .random(in: 0...99, using: &generator),
          targets: targets))
      var cut = length
      while cut > 1, placement.length(ofColumn: 0, of: cut) > room.min() ?? 0 { cut /= 2 }
      run.append(try StoreExtent(offset: offset, length: cut, placement: placement))
      offset = run[run.count - 1].end
    }
    return run
  }

  @Test func randomChainsAgreeWithTheOracle() throws {
    let seed = testSeed()
    var generator = SeededGenerator(seed: seed)
    for round in 0..<120 {
      let (oracle, top, size) = try randomChain(levels: round % 3 + 1, &generator)
      let map = try StoreMap(stores: oracle.stores, extents: oracle.extents)
      for _ in 0..<20 {
        let start = UInt64.random(in: 0...size, using: &generator)
        let length = UInt64.random(in: 0...400, using: &generator)
        let address = StoreAddress(store: top, offset: start)
        let expected = (start..<start + length).map { oracle.places(top, $0) }
        guard expected.allSatisfy({ !$0.isEmpty }) else {
          #expect(throws: ChainError.self) { try map.resolve(address, length: length) }
          continue
        }
        let runs = try map.resolve(address, length: length)
        var found: [[MediumAddress]] = []
        for run in runs {
          #expect(run.position == UInt64(found.count))
          for byte in 0..<run.length {
            found.append(
              run.copies.map { MediumAddress(medium: $0.medium, offset: $0.offset + byte) })
          }
        }
        #expect(
          zip(found, expected).allSatisfy { $0 == Array($1.prefix(StoreMap.maximumCopies)) }
            && found.count == expected.count, "seed \(seed), round \(round), \(start) + \(length)")
      }
    }
  }

  /// Spans of columns reach from their first byte to their last, and nothing overflows.
  @Test func aColumnIsAsLongAsItsLastByteTells() throws {
    let seed = testSeed()
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let columns = Int.random(in: 2...7, using: &generator)
      let stripe = UInt64.random(in: 1...9, using: &generator)
      let placement = try #require(
        Placement(
          columns: columns, copies: 1, stripeLength: stripe,
          columnStep: stripe + .random(in: 0...5, using: &generator), targets: Array(0..<columns)))
      let length = UInt64.random(in: 1...200, using: &generator)
      var ends = [UInt64](repeating: 0, count: columns)
      for position in 0..<length {
        let piece = placement.piece(at: position, limit: 1)
        let column = try #require(piece.copies.first)
        ends[column] = max(ends[column], piece.offset + 1)
      }
      #expect(
        ends == (0..<columns).map { placement.length(ofColumn: $0, of: length) }, "seed \(seed)")
    }
    let targets = [UInt64(0), 0].map { StoreAddress(store: Self.physical, offset: $0) }
    #expect(throws: ChainError.malformedExtent(offset: 0)) {
      try StoreExtent(
        offset: 0, length: 1 << 40, columns: 2, copies: 1, stripeLength: 1, columnStep: 1 << 40,
        targets: targets)
    }
    #expect(throws: ChainError.self) {
      try StoreExtent(
        offset: 0, length: 8, columns: 2, copies: 1, stripeLength: 4, columnStep: 3,
        targets: targets)
    }
  }

  /// Copies of copies are in sync where all of them are; one copy is always.
  @Test func copiesAreInSyncWhereEveryMirrorOnTheWaySaysSo() throws {
    func state(outer: CopyState, inner: CopyState) throws -> CopyState? {
      let (top, middle) = (StoreID(rawValue: 10), StoreID(rawValue: 11))
      var stores: [StoreID: Store] = [top: .logical(label: ""), middle: .logical(label: "")]
      for (number, medium) in Self.media.enumerated() {
        stores[StoreID(rawValue: UInt32(number))] = .physical(medium)
      }
      func mirror(_ stores: [StoreID], _ state: CopyState) throws -> StoreExtent {
        try StoreExtent(
          offset: 0, length: 100, columns: 1, copies: stores.count, stripeLength: 100,
          targets: stores.map { StoreAddress(store: $0, offset: 0) }, copyState: state)
      }
      let map = try StoreMap(
        stores: stores,
        extents: [
          top: [try mirror([middle, StoreID(rawValue: 2)], outer)],
          middle: [try mirror([StoreID(rawValue: 0), StoreID(rawValue: 1)], inner)],
        ])
      return try map.resolve(StoreAddress(store: top, offset: 0), length: 100).first?.copyState
    }
    #expect(try state(outer: .inSync, inner: .inSync) == .inSync)
    #expect(try state(outer: .inSync, inner: .unknown) == .unknown)
    #expect(try state(outer: .unknown, inner: .inSync) == .unknown)
    let single = try map([
      .linear(offset: 0, length: 9, target: .init(store: Self.physical, offset: 0))
    ])
    let run = try single.resolve(StoreAddress(store: Self.logical, offset: 0), length: 9)
    #expect(run.map(\.copyState) == [.inSync])
  }

  private static let physical = StoreID(rawValue: 1)
  private static let logical = StoreID(rawValue: 0)

  private func map(_ extents: [StoreExtent]) throws -> StoreMap {
    try StoreMap(
      stores: [Self.logical: .logical(label: ""), Self.physical: .physical(Self.media[0])],
      extents: [Self.logical: extents])
  }

  @Test func stripesAreDealtToColumnsInTurn() throws {
    // Two columns of two copies, elements of 10 bytes; element 3 is column 1, row 1.
    let targets = [0, 1000, 2000, 3000].map { StoreAddress(store: Self.physical, offset: $0) }
    let extent = try StoreExtent(
      offset: 100, length: 45, columns: 2, copies: 2, stripeLength: 10, targets: targets)
    let map = try map([extent])
    let link = try map.step(
      from: StoreAddress(store: Self.logical, offset: 100 + 33), length: 100)
    #expect(link.length == 7)
    #expect(link.copies.map(\.offset) == [2013, 3013])
    let last = try map.step(from: StoreAddress(store: Self.logical, offset: 144), length: 1)
    #expect(last.copies.map(\.offset) == [24, 1024])
    #expect(throws: ChainError.self) {
      try map.step(from: StoreAddress(store: Self.logical, offset: 145), length: 1)
    }
  }

  @Test func neighboursAreReadInOnePiece() throws {
    let extents = try [0, 50].map { offset in
      try StoreExtent.linear(
        offset: offset, length: 50,
        target: StoreAddress(store: Self.physical, offset: 500 + offset))
    }
    let runs = try map(extents).resolve(
      StoreAddress(store: Self.logical, offset: 10), length: 80)
    #expect(runs.map(\.length) == [80])
  }

  /// A map of a few bytes that would resolve into more pieces than fit the memory.
  @Test func aRunInTooManyPiecesIsRefused() throws {
    let length: UInt64 = 1 << 40
    let extent = try StoreExtent(
      offset: 0, length: length, columns: 2, copies: 1, stripeLength: 1,
      targets: [0, length].map { StoreAddress(store: Self.physical, offset: $0) })
    let map = try map([extent])
    let start = StoreAddress(store: Self.logical, offset: 0)
    #expect(throws: ChainError.tooManyPieces(start)) { try map.resolve(start, length: length) }
    let most = StoreMap.maximumRuns
    #expect(try map.resolve(start, length: UInt64(most)).count == most)
  }

  @Test func invariantsAreRefused() throws {
    let target = StoreAddress(store: Self.physical, offset: 0)
    #expect(throws: ChainError.malformedExtent(offset: 0)) {
      try StoreExtent.linear(offset: 0, length: 0, target: target)
    }
    #expect(throws: ChainError.malformedExtent(offset: .max)) {
      try StoreExtent.linear(offset: .max, length: 1, target: target)
    }
    #expect(throws: ChainError.malformedExtent(offset: 0)) {
      try StoreExtent(
        offset: 0, length: 8, columns: 2, copies: 1, stripeLength: 4, targets: [target])
    }
    #expect(throws: ChainError.malformedExtent(offset: 0)) {
      try StoreExtent(
        offset: 0, length: 8, columns: 1, copies: 1, stripeLength: 0, targets: [target])
    }
    let extent = try StoreExtent.linear(offset: 0, length: 8, target: target)
    let next = try StoreExtent.linear(offset: 7, length: 8, target: target)
    #expect(throws: ChainError.overlap(store: Self.logical, offset: 7)) { try map([extent, next]) }
    let nowhere = try StoreExtent.linear(
      offset: 0, length: 8, target: StoreAddress(store: StoreID(rawValue: 9), offset: 0))
    #expect(throws: ChainError.unknownStore(StoreID(rawValue: 9))) { try map([nowhere]) }
    let itself = try StoreExtent.linear(
      offset: 0, length: 8, target: StoreAddress(store: Self.logical, offset: 0))
    #expect(throws: ChainError.tooDeep(Self.logical)) { try map([itself]) }
  }

  /// Fifteen levels, of which every store points to all four of the level below: as
  /// many paths as no check could walk, in a map that is small and sound.
  @Test func aDenseChainIsCheckedInNoTime() throws {
    var stores: [StoreID: Store] = [Self.physical: .physical(Self.media[0])]
    var extents: [StoreID: [StoreExtent]] = [:]
    var below = [Self.physical]
    for level in 1..<15 {
      let level = (0..<4).map { StoreID(rawValue: UInt32(level * 10 + $0)) }
      for store in level {
        stores[store] = .logical(label: "")
        extents[store] = [
          try StoreExtent(
            offset: 0, length: 8, columns: 1, copies: below.count, stripeLength: 8,
            targets: below.map { StoreAddress(store: $0, offset: 0) })
        ]
      }
      below = level
    }
    let map = try StoreMap(stores: stores, extents: extents)
    let runs = try map.resolve(StoreAddress(store: below[0], offset: 0), length: 8)
    #expect(runs.map(\.copies.count) == [StoreMap.maximumCopies])
  }
}
