import FloeWire
import FrozenImage
import ImageFixtures
import SeededNumbers
import SwiftProtobuf
import Synchronization
import SystemPackage
import Testing

@testable import Catalogue
@testable import ImageService

/// Answers that tell what differs from a map that the client has.
@Suite struct StoreMapChangeTests {
  private static let top = StoreID(rawValue: 0)
  private static let disk = StoreID(rawValue: 1)
  private static let medium = MediumID(rawValue: UniqueIdentifier(high: 1, low: 1))

  private func map(_ extents: [StoreExtent], label: String = "snapshot") throws -> StoreMap {
    try StoreMap(
      stores: [Self.top: .logical(label: label), Self.disk: .physical(Self.medium)],
      extents: [Self.top: extents])
  }

  /// A snapshot of chunks of 4 KiB, some of which lie in its store.
  private func snapshot(chunks: UInt64, copied: Set<UInt64>) throws -> StoreMap {
    var extents: [StoreExtent] = []
    for chunk in 0..<chunks {
      let place = copied.contains(chunk) ? 1 << 40 + chunk * 8192 : chunk * 4096
      if let last = extents.last, let target = last.placement.targets.first,
        target.offset + last.length == place
      {
        extents[extents.count - 1] = try .linear(
          offset: last.offset, length: last.length + 4096, target: target)
        continue
      }
      extents.append(
        try .linear(
          offset: chunk * 4096, length: 4096, target: StoreAddress(store: Self.disk, offset: place))
      )
    }
    return try map(extents)
  }

  private func answer(_ map: StoreMap) throws -> MappingAnswer {
    MappingAnswer(
      state: .sample, changes: .ranges([]),
      volume: MappingAnswer.Volume(
        map: map,
        media: try MappingAnswer.Volume.sample().media.prefix(1).map {
          MediumDescription(
            id: Self.medium, label: $0.label, size: $0.size, path: $0.path,
            hardwareID: $0.hardwareID, identity: $0.identity, identityBytes: $0.identityBytes,
            witness: $0.witness)
        }), behind: [], located: [])
  }

  private func pages(
    of answer: MappingAnswer, since known: StoreMap?
  ) async throws -> [[UInt8]] {
    var pages: [[UInt8]] = []
    try await AnswerPaging(answer, since: known).forEach { pages.append(try $0.serializedBytes()) }
    return pages
  }

  private func assemble(_ pages: [[UInt8]], since known: StoreMap?) throws -> MappingAnswer {
    var assembly = AnswerAssembly(
      since: known.map { KnownMap(MappingState.sample.configurationID, $0) })
    for page in pages { try assembly.add(try Floe_V1_AnswerPage(serializedBytes: page)) }
    return try assembly.finish()
  }

  @Test func bothWaysMakeTheSameMap() async throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("bothWaysMakeTheSameMap: seed \(seed)")
    var numbers = SeededGenerator(seed: seed)
    var known = try snapshot(chunks: 300, copied: [])
    for round in 0..<200 {
      let next: StoreMap
      switch round % 4 {
      case 0: next = try snapshot(chunks: 300, copied: [])
      case 1:
        // Gaps, too.
        next = try map(
          (0..<40).filter { _ in Bool.random(using: &numbers) }.map { number in
            try .linear(
              offset: number * 8192, length: UInt64.random(in: 1...8192, using: &numbers),
              target: StoreAddress(store: Self.disk, offset: number << 20))
          })
      default:
        next = try snapshot(
          chunks: 300,
          copied: Set((0..<50).map { _ in UInt64.random(in: 0..<300, using: &numbers) }))
      }
      let told = try answer(next)
      let received = try assemble(try await pages(of: told, since: known), since: known)
      #expect(received == told, "round \(round)")
      #expect(received.volume?.map == next, "round \(round)")
      let change = try #require(StoreMapChange(from: known, to: next))
      #expect((change.parts.isEmpty) == (known == next))
      #expect(known.fingerprint == next.fingerprint || known != next)
      known = next
    }
  }

  /// What an answer costs is what changed, not what the snapshot holds.
  @Test func costsWhatChanged() async throws {
    var copied = Set((0..<UInt64(100_000)).map { $0 * 3 })
    let known = try snapshot(chunks: 300_000, copied: copied)
    for chunk in 0..<UInt64(50) { copied.insert(chunk * 3000 + 1) }
    let told = try answer(try snapshot(chunks: 300_000, copied: copied))
    let few = try await pages(of: told, since: known)
    let all = try await pages(of: told, since: nil)
    let bytes = few.reduce(0) { $0 + $1.count }
    #expect(bytes < 30_000)
    #expect(all.reduce(0) { $0 + $1.count } > 100 * bytes)
    #expect(try assemble(few, since: known) == told)
    // Who knows no map is told all, as an older client is.
    #expect(try assemble(all, since: nil) == told)
  }

  @Test func otherStoresAreToldWhole() async throws {
    let known = try snapshot(chunks: 100, copied: [3])
    let extents = try #require(snapshot(chunks: 100, copied: [3, 5]).extents[Self.top])
    let told = try answer(try map(extents, label: "another"))
    #expect(try assemble(try await pages(of: told, since: known), since: nil) == told)
  }

  private static let badChanges: [@Sendable (inout [Floe_V1_AnswerPage]) -> Void] = [
    { $0[0].head.mapFingerprint += 1 },
    { $0[0].head.clearMapFingerprint() },
    { $0[0].head.tellsChanges = false },
    { $0[0].head.replacedCount += 1 },
    { $0[0].head.replacedCount -= 1 },
    { $0[2].replaced.ranges[0].length = 0 },
    { $0[2].replaced.ranges[0].length = .max },
    { $0[2].replaced.ranges[0].length += 1 },
    { $0[2].replaced.ranges[0].offset += 1 },
    { $0[2].replaced.ranges[0].store = 1 },
    { $0[2].replaced.ranges.swapAt(0, 1) },
    { $0[3].storeExtents.extents[0].offset += 1 },
    { $0[3].storeExtents.extents[0].store = 1 },
    { $0[1].stores.stores[0].logicalLabel = "another" },
  ]

  @Test func changesThatMakeNoSenseAreRefused() async throws {
    // Two ranges, with an extent between them that stays.
    let known = try snapshot(chunks: 100, copied: [3, 60])
    let told = try answer(try snapshot(chunks: 100, copied: [3, 50, 60, 90]))
    let good = try await pages(of: told, since: known).map {
      try Floe_V1_AnswerPage(serializedBytes: $0)
    }
    func assemble(_ pages: [Floe_V1_AnswerPage], since known: StoreMap?) throws {
      _ = try self.assemble(try pages.map { try $0.serializedBytes() }, since: known)
    }
    #expect(throws: Never.self) { try assemble(good, since: known) }
    #expect(throws: WireError.self) { try assemble(good, since: nil) }
    #expect(throws: WireError.self) {
      try assemble(good, since: try snapshot(chunks: 100, copied: [4]))
    }
    for (number, change) in Self.badChanges.enumerated() {
      var altered = good
      change(&altered)
      #expect(altered != good)
      #expect(throws: WireError.self, "case \(number)") { try assemble(altered, since: known) }
    }
  }

  @Test func onlyAMapThatBothHaveIsTakenForGranted() throws {
    let maps = ToldMaps()
    let image = UniqueIdentifier.random()
    let state = MappingState.sample.configurationID
    let known = KnownMap(state, try snapshot(chunks: 10, copied: [1]))
    maps.note(known, of: image)
    #expect(maps.map(of: image, state, fingerprint: known.fingerprint) == known.map)
    #expect(maps.map(of: image, state, fingerprint: known.fingerprint + 1) == nil)
    #expect(maps.map(of: .random(), state, fingerprint: known.fingerprint) == nil)
    // They cost memory: those of long ago are forgotten.
    for number in 0..<3 as Range<UInt64> {
      maps.note(KnownMap(state, try snapshot(chunks: 20, copied: [number])), of: image)
    }
    #expect(maps.map(of: image, state, fingerprint: known.fingerprint) == nil)
  }

  /// A client and a service, over the real wire, while the map changes.
  @Test func aClientFollowsChanges() async throws {
    let directory = try TemporaryDirectory()
    let catalogue = Catalogue(directory: directory.path.appending("state"))
    try catalogue.freeze("nightly")
    let image = MemoryImage(answer: try answer(try snapshot(chunks: 2000, copied: [])))
    let service = try await TestService(catalogue, image: image)
    let remote = try await service.connect(to: "nightly")
    for round in 0..<5 as Range<UInt64> {
      let told = try answer(
        try snapshot(chunks: 2000, copied: Set((0...round).map { $0 * 7 })))
      image.content.withLock { $0.answer = told }
      let received = try await blocking { try remote.answer(.sample) }
      #expect(received.volume?.map == told.volume?.map)

    }
    remote.close()
    try await service.stop()
  }
}
