import FrozenImage
import ImageReader
import Testing
import VolumeSimulation

/// Where a compressed extent is read from.
@Suite struct CompressedPlanTests {
  private let top = StoreID(rawValue: 0)
  private let media = (1...2).map { MediumID(rawValue: UniqueIdentifier(high: 1, low: UInt64($0))) }

  /// Store 0: 1 MiB striped over two media in elements of 64 KiB, then 1 MiB mirrored.
  private func rule() throws -> ReadRule {
    let below = [StoreID(rawValue: 1), StoreID(rawValue: 2)]
    let striped = try StoreExtent(
      offset: 0, length: 1 << 20, columns: 2, copies: 1, stripeLength: 65536,
      targets: below.map { StoreAddress(store: $0, offset: 0) })
    let mirrored = try StoreExtent(
      offset: 1 << 20, length: 1 << 20, columns: 1, copies: 2, stripeLength: 65536,
      targets: below.map { StoreAddress(store: $0, offset: 1 << 20) })
    let map = try StoreMap(
      stores: [
        top: .logical(label: "volume"), below[0]: .physical(media[0]),
        below[1]: .physical(media[1]),
      ], extents: [top: [striped, mirrored]])
    let probe = try #require(
      Probe(offset: 0, length: 8, fragments: [Probe.Fragment(offset: 0, length: 8)]))
    let state = MappingState(
      configurationID: ConfigurationID(
        entries: media.map { ConfigurationID.Entry(medium: $0, bytes: [1]) }), cursor: [])
    return ReadRule(
      state: state, map: map,
      media: media.map {
        MediumDescription(
          id: $0, label: "", size: 4 << 20, path: "", hardwareID: "", identity: probe,
          identityBytes: [], witness: probe)
      }
    ).withEveryMediumOpen()
  }

  private func run(
    at address: UInt64, stored: UInt64 = 81_920, decoded: UInt64 = 131_072, offset: UInt64 = 0,
    _ algorithm: CompressionAlgorithm = .zstd
  ) throws -> CompressedRun {
    try #require(
      CompressedRun(
        algorithm: algorithm, address: StoreAddress(store: top, offset: address),
        storedLength: stored, decodedLength: decoded, offset: offset))
  }

  private func extent(
    _ run: CompressedRun, offset: UInt64 = 0, length: UInt64 = 131_072
  ) -> FileExtent {
    FileExtent(offset: offset, length: length, source: .compressed(run))
  }

  private func plan(
    _ rule: ReadRule, _ extents: [FileExtent], checksummed: [FileExtent] = [],
    _ range: Range<UInt64> = 0..<131_072
  ) throws -> ReadPlan {
    try #require(
      rule.place(
        of: Portion(inode: 1, range: range),
        content: PortionContent(
          extents: extents, checksummed: [], checksummedRuns: checksummed)))
  }

  @Test func aPartNeedsAllOfTheRun() throws {
    let run = try run(at: 32768)
    let plan = try plan(rule(), [extent(run)], 100_000..<200_000)
    #expect(plan.pieces.map(\.range) == [100_000..<131_072, 131_072..<200_000])
    guard case .compressed(let source)? = plan.pieces.first?.source else {
      Issue.record("\(plan)")
      return
    }
    // The part begins farther in; the stored bytes are all of them, on both stripes.
    let part = try self.run(at: 32768, offset: 100_000)
    #expect(source.run == part)
    #expect(source.places.map(\.range) == [0..<32768, 32768..<81_920])
    #expect(
      source.places.map(\.copies) == [
        [MediumAddress(medium: media[0], offset: 32768)],
        [MediumAddress(medium: media[1], offset: 0)],
      ])
    #expect(plan.media == Set(media))
    #expect(plan.stored.map(\.range) == [32768..<114_688])
    #expect(plan.pieces.last?.source == .zeros)
  }

  @Test func aMirrorNeedsChecksumsOfThatRun() throws {
    let here = extent(try run(at: 1 << 20))
    let rule = try rule()
    #expect(try plan(rule, [here]).pieces.map(\.source) == [.productionHost])
    func isRead(_ described: FileExtent) throws -> Bool {
      let plan = try plan(rule, [here], checksummed: [described])
      guard case .compressed(let source)? = plan.pieces.first?.source else { return false }
      return source.isChecksummed && source.places.map(\.copies.count) == [2]
    }
    #expect(try isRead(here))
    // It was elsewhere when it was described.
    #expect(try isRead(extent(run(at: 4096))))
    // Another run, or another part of one.
    #expect(try !isRead(extent(run(at: 1 << 20, stored: 77_824))))
    #expect(try !isRead(extent(run(at: 1 << 20, decoded: 131_073))))
    #expect(try !isRead(extent(run(at: 1 << 20, .zlib))))
    #expect(try !isRead(extent(run(at: 1 << 20, decoded: 140_000, offset: 1))))
    #expect(try !isRead(extent(run(at: 1 << 20), length: 131_071)))
    #expect(try !isRead(FileExtent(offset: 0, length: 131_072, source: .unwritten)))
  }

  @Test func aLostMediumLeavesTheOtherCopyOrTheProductionHost() throws {
    var rule = try rule()
    // A check that cannot see the second medium.
    var read = rule.begin(
      Portion(inode: 1, range: 0..<4096),
      content: PortionContent(
        extents: [
          FileExtent(offset: 0, length: 4096, source: .stored(StoreAddress(store: top, offset: 0)))
        ], checksummed: []))
    guard case .fetch = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(
      found: ConfigurationID(entries: [ConfigurationID.Entry(medium: media[0], bytes: [1])]),
      unreadable: [media[1]])
    let mirrored = extent(try run(at: 1 << 20))
    let judged = try plan(rule, [mirrored], checksummed: [mirrored])
    #expect(judged.media == [media[0]])
    // Half of a striped run is no use.
    let striped = try plan(rule, [extent(try run(at: 32768))])
    #expect(striped.pieces.map(\.source) == [.productionHost])
    #expect(striped.media.isEmpty)
    // What lies on the medium that is there needs no other.
    #expect(try plan(rule, [extent(try run(at: 0, stored: 65536))]).media == [media[0]])
  }

  /// What a compressed extent was may be anything else by now.
  @Test func theOverlayComesFirst() throws {
    var rule = try rule()
    let described = extent(try run(at: 0))
    let portion = Portion(inode: 1, range: 0..<131_072)
    let content = PortionContent(extents: [described], checksummed: [])
    var read = rule.begin(portion, content: content)
    var remaps = RemapMemory(map: rule.map)
    guard case .fetch(let first) = rule.next(&read, now: 0) else { throw Unexpected() }
    let wasRemap = remaps.isRemap(first, of: portion, content: content)
    #expect(!wasRemap)
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    let now = ConfigurationID(
      entries: media.map { ConfigurationID.Entry(medium: $0, bytes: [2]) })
    rule.checked(found: now, unreadable: [])
    guard case .ask(let question) = rule.next(&read, now: 0) else { throw Unexpected() }
    let moved = extent(try run(at: 524_288))
    rule.answered(
      .success(
        MappingAnswer(
          state: MappingState(configurationID: now, cursor: []), changes: .ranges([portion.keys]),
          volume: nil, behind: [],
          located: [
            MappingAnswer.Located(
              keys: portion.keys, extents: [MappingAnswer.Extent(inode: 1, extent: moved)])
          ])), to: question, now: 0)
    guard case .fetch(let plan) = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(plan.stored.map(\.range) == [524_288..<606_208])
    let isRemap = (0..<2).map { _ in remaps.isRemap(plan, of: portion, content: content) }
    #expect(isRemap == [true, false])
    #expect(rule.statistics.discardedReads == 1)
    rule.fetched(&read, .complete, now: 0)
    guard case .check = rule.next(&read, now: 0) else { throw Unexpected() }
    rule.checked(found: now, unreadable: [])
    guard case .finished = rule.next(&read, now: 0) else { throw Unexpected() }
    #expect(rule.statistics.decodedBytes == 131_072 && rule.statistics.storageBytes == 131_072)
  }

  private struct Unexpected: Error {}
}
