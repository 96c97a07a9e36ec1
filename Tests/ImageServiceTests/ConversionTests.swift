import FloeWire
import FoundationEssentials
import FrozenImage
import SeededNumbers
import SwiftProtobuf
import Testing

@testable import ImageService

/// Cuts an answer into pages and puts it together again, through the bytes of the wire.
private func pages(of answer: MappingAnswer) async throws -> [Floe_V1_AnswerPage] {
  var pages: [Floe_V1_AnswerPage] = []
  try await AnswerPaging(answer).forEach { page in
    let bytes: [UInt8] = try page.serializedBytes()
    #expect(bytes.count <= 256 << 10)
    pages.append(try Floe_V1_AnswerPage(serializedBytes: bytes))
  }
  return pages
}

private func assemble(_ pages: [Floe_V1_AnswerPage]) throws -> MappingAnswer {
  var assembly = AnswerAssembly()
  for page in pages { try assembly.add(page) }
  return try assembly.finish()
}

@Suite struct ConversionTests {
  @Test func questionsRoundTrip() throws {
    let image = UniqueIdentifier.random()
    let wire = MappingQuestion.sample.wire(image: image)
    #expect(try UniqueIdentifier(wire: wire.image, "the image") == image)
    #expect(try MappingQuestion(wire: wire) == .sample)
  }

  @Test func aQuestionSendsNoMorePortionsThanTheLimit() throws {
    let portions = (0..<2000).map { Portion(inode: $0, range: 0..<1) }
    let question = MappingQuestion(
      known: .sample, found: MappingState.sample.configurationID, portions: portions)
    let received = try MappingQuestion(wire: question.wire(image: .random()))
    #expect(received.portions == Array(portions.prefix(WireLimit.portions)))
  }

  @Test(arguments: [(0, 0), (3, 3), (65_536, 1), (10, 262_144)])
  func answersRoundTrip(ranges: Int, extents: Int) async throws {
    let answer = MappingAnswer.sample(ranges: ranges, extents: extents)
    let received = try assemble(try await pages(of: answer))
    #expect(received == answer)
  }

  @Test func anAnswerWithoutVolumeRoundTrips() async throws {
    let answer = MappingAnswer(
      state: .sample, changes: .everything, volume: nil, behind: [], located: [])
    #expect(try assemble(try await pages(of: answer)) == answer)
  }

  @Test func tooManyChangedRangesBecomeEverything() async throws {
    let answer = MappingAnswer.sample(ranges: WireLimit.changedRanges + 1, extents: 1)
    let received = try assemble(try await pages(of: answer))
    #expect(received.changes == .everything)
    #expect(received.located == answer.located)
  }

  @Test func locatedPortionsOverTheLimitAreLeftOut() async throws {
    let sample = MappingAnswer.sample(ranges: 1, extents: WireLimit.locatedExtents)
    let more = MappingAnswer.Located(
      keys: FileKey(inode: 500, offset: 0)..<FileKey(inode: 501, offset: 0),
      extents: [
        .init(inode: 500, extent: FileExtent(offset: 0, length: 1, source: .unwritten))
      ])
    let answer = MappingAnswer(
      state: sample.state, changes: sample.changes, volume: nil, behind: [],
      located: sample.located + [more])
    #expect(try assemble(try await pages(of: answer)).located == sample.located)
  }

  // MARK: - Hostile bytes

  @Test func hostileQuestionsAreRefused() {
    let good = MappingQuestion.sample.wire(image: .random())
    let bad: [(inout Floe_V1_AnswerRequest) -> Void] = [
      { $0.portions[0].length = 0 },
      { $0.portions[1].offset = .max },
      { $0.portions = Array(repeating: $0.portions[0], count: 1025) },
      { $0.known.configurationID.append(1) },
      { $0.known.cursor = Data(count: 70_000) },
      { $0.found = Data([1, 2, 3]) },
    ]
    for (number, change) in bad.enumerated() {
      var wire = good
      change(&wire)
      #expect(throws: WireError.self, "case \(number)") { try MappingQuestion(wire: wire) }
    }
    #expect(throws: WireError.self) { try UniqueIdentifier(wire: Data(count: 15), "an image") }
  }

  /// Changes of one page of a good answer that no service makes.
  private static let badPages: [(page: Int, change: @Sendable (inout Floe_V1_AnswerPage) -> Void)] =
    [
      (0, { $0.head.everythingChanged = true }),
      (0, { $0.head.hasVolume_p = false }),
      (0, { $0.head.behind[0] = Data(count: 3) }),
      (0, { $0.head.changedCount = .max }),
      (0, { $0.head.state = Floe_V1_MappingState.with { $0.configurationID = Data(count: 17) } }),
      (1, { $0.changed.ranges.swapAt(0, 1) }),
      (1, { $0.changed.ranges[0].upper = $0.changed.ranges[0].lower }),
      (2, { $0.stores.stores[0].kind = nil }),
      (2, { $0.stores.stores[0].id = 7 }),
      (2, { $0.stores.stores[0].physicalMedium = Data() }),
      (3, { $0.storeExtents.extents.swapAt(0, 1) }),
      (3, { $0.storeExtents.extents[0].length = 0 }),
      (3, { $0.storeExtents.extents[0].length = .max }),
      (3, { $0.storeExtents.extents[0].columns = .max }),
      (3, { $0.storeExtents.extents[0].stripeLength = 0 }),
      (3, { $0.storeExtents.extents[0].targets[0].store = 99 }),
      (3, { $0.storeExtents.extents[0].targets[0].store = 7 }),
      (3, { $0.storeExtents.extents[0].targets[0].offset = .max }),
      (3, { $0.storeExtents.extents[0].store = 99 }),
      // As one sees it who does not know of spaced columns.
      (3, { $0.storeExtents.extents[2].spacedColumns = 0 }),
      (3, { $0.storeExtents.extents[2].spacedColumns = .max }),
      (3, { $0.storeExtents.extents[2].columnStep = 1 }),
      (3, { $0.storeExtents.extents[2].columnStep = .max }),
      (4, { $0.media.media[0].identity.windows[0].length = .max }),
      (4, { $0.media.media[0].identity.windows[0].fragments = [] }),
      (4, { $0.media.media[0].identityBytes = Data() }),
      (4, { $0.media.media[0].witness.windows[0].offset = .max }),
      (4, { $0.media.media[0].witness.windows = [] }),
      (4, { $0.media.media[0].label = String(repeating: "x", count: 5000) }),
      (5, { $0.located.index = 5 }),
      (5, { $0.located.keys.upper = Floe_V1_FileKey() }),
      (5, { $0.located.extents[0].kind = .unspecified }),
      (5, { $0.located.extents[0].kind = .UNRECOGNIZED(9) }),
      (5, { $0.located.extents[0].length = 0 }),
      (5, { $0.located.extents[0].length = .max }),
      (5, { $0.located.extents[0].sourceOffset = .max }),
      (5, { $0.located.extents[0].inode = 5 }),
      (5, { $0.located.extents[1].offset = 0 }),
      (5, { $0.located.extents[2].inode = 302 }),
      (5, { $0.located.extents[4].clearRun() }),
      (5, { $0.located.extents[4].run.algorithm = 0 }),
      (5, { $0.located.extents[4].run.algorithm = 8 }),
      (5, { $0.located.extents[4].run.algorithm = 257 }),
      (5, { $0.located.extents[4].run.storedLength = 0 }),
      (5, { $0.located.extents[4].run.storedLength += 1 }),
      (5, { $0.located.extents[4].run.decodedLength += 1 }),
      (5, { $0.located.extents[4].run.decodedLength -= 1 }),
      (5, { $0.located.extents[4].run.offset += 1 }),
      (5, { $0.located.extents[4].run.offset = .max }),
      (5, { $0.located.extents[4].length += 1 }),
      (5, { $0.located.extents[4].sourceOffset = .max - 5000 }),
    ]

  @Test func hostileAnswersAreRefused() async throws {
    let good = try await pages(of: .sample(ranges: 3, extents: 5))
    #expect(throws: Never.self) { try assemble(good) }
    #expect(throws: WireError.self) { try assemble([]) }
    #expect(throws: WireError.self) { try assemble(Array(good.dropFirst())) }
    #expect(throws: WireError.self) { try assemble(Array(good.dropLast())) }
    #expect(throws: WireError.self) { try assemble(good + [good[0]]) }
    #expect(throws: WireError.self) { try assemble(good + [Floe_V1_AnswerPage()]) }
    for index in good.indices {
      #expect(throws: WireError.self, "page \(index) twice") {
        try assemble(Array(good[...index] + good[index...]))
      }
    }
    for (number, (page, change)) in Self.badPages.enumerated() {
      var altered = good
      change(&altered[page])
      #expect(altered != good)
      #expect(throws: WireError.self, "case \(number)") { try assemble(altered) }
    }
  }

  /// Altered bytes are refused or give an answer; they never trap.
  @Test func alteredBytesNeverTrap() async throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("alteredBytesNeverTrap: seed \(seed)")
    var numbers = SeededGenerator(seed: seed)
    let good = try await pages(of: .sample(ranges: 5, extents: 5)).map {
      let bytes: [UInt8] = try $0.serializedBytes()
      return bytes
    }
    for _ in 0..<5000 {
      var assembly = AnswerAssembly()
      let altered = Int.random(in: 0..<good.count, using: &numbers)
      do {
        for (index, bytes) in good.enumerated() {
          var bytes = bytes
          if index == altered, !bytes.isEmpty {
            for _ in 0..<Int.random(in: 1...3, using: &numbers) {
              bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = UInt8.random(
                in: 0...255, using: &numbers)
            }
          }
          try assembly.add(try Floe_V1_AnswerPage(serializedBytes: bytes))
        }
        _ = try assembly.finish()
      } catch is WireError {
      } catch is BinaryDecodingError {
      }
    }
  }
}
