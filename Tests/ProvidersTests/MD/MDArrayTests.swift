import FrozenImage
import SeededNumbers
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// md arrays, by the superblocks of their members.
@Suite struct MDArrayTests {
  /// The copies that are read of a mirror of three, or why it is refused.
  private func outcome(
    _ format: WrittenMember.Format = .behindTheStart, without missing: Int? = nil,
    change: (inout WrittenMember) -> Void
  ) throws -> String {
    var members = WrittenMember.all(3, format, change: change)
    if let missing { members.remove(at: missing) }
    do {
      let array = try members.array()
      guard case .mapped(let map) = array.substance,
        case .below(let placement)? = map.runs.first?.content, map.runs.count == 1
      else { return "no mirror" }
      #expect(placement.copyState == .inSync)
      return placement.targets.map { map.lower[$0.layer].title }.joined(separator: ", ")
    } catch let error as StackError {
      return error.description
    }
  }

  @Test(arguments: WrittenMember.Format.allCases)
  func mirror(_ format: WrittenMember.Format) throws {
    #expect(try outcome(format) { _ in } == "member 0, member 1, member 2")
    let members = WrittenMember.all(2, format)
    let array = try members.array()
    #expect(array.size == UInt64(WrittenMember.dataSize))
    #expect(
      try array.bytes(at: 4096, count: 4096)
        == Array(members[0].bytes[members[0].dataOffset + 4096..<members[0].dataOffset + 8192]))
    // A member that failed is called so by the others.
    #expect(
      try outcome(format) { member in
        guard member.place != 1 else { return }
        member.events += 1
        member.roles[1] = 0xFFFE
      } == "member 0, member 2")
    #expect(
      try outcome(format, without: 1) { $0.roles[1] = 0xFFFE } == "member 0, member 2")
    #expect(
      try outcome(format) { $0.flags = $0.place == 0 ? 1 : 0 } == "member 1, member 2")
    #expect(try outcome(format) { $0.resync = 0 }.contains("are not in sync"))
    #expect(
      try outcome(format, without: 2) { _ in }.contains("member 2 of the md array"))
  }

  @Test func memberThatIsNotUpToDateIsLeftOut() throws {
    #expect(
      try outcome { member in
        // Its recovery goes on (`MD_FEATURE_RECOVERY_OFFSET`).
        member.features = member.place == 2 ? 2 : 0
      } == "member 0, member 1")
    #expect(
      try outcome { member in
        member.features = member.place == 0 ? 8 : 0
      } == "member 1, member 2")
    // It may have been in the array before a spare took its place, and that is not seen.
    #expect(
      try outcome { member in
        member.events -= member.place == 0 ? 2 : 0
      }.contains("member 0 of the md array here:0 is out of date, and the others do not say"))
    #expect(
      try outcome { member in
        member.events -= member.place == 0 ? 2 : 0
        if member.place != 0 { member.roles[0] = 0xFFFE }
      } == "member 1, member 2")
    #expect(
      try outcome { member in
        member.events -= member.place == 0 ? 1 : 0
      } == "member 0, member 1, member 2")
  }

  @Test(arguments: [
    (UInt32(4), "is being reshaped"), (64, "is being reshaped"), (512, "has a journal"),
    (1024, "has a partial parity log"), (256, "belongs to a cluster"),
    (8192, "has features that floe does not know (8192)"),
  ])
  func featureIsRefused(_ feature: UInt32, sentence: String) throws {
    #expect(try outcome { $0.features = feature }.contains(sentence))
  }

  @Test func membersThatMakeNoArrayAreRefused() throws {
    #expect(
      try outcome { $0.level = $0.place == 1 ? 5 : 1 }
        == "the superblocks of the md array here:0 are at odds with each other")
    #expect(
      try outcome { member in
        member.events += member.place == 0 ? 5 : 0
        member.roles[member.place == 0 ? 1 : 0] = 0xFFFE
      }.contains("were written each without the other"))
    let twins = WrittenMember.all(2) + [WrittenMember.all(2)[1]]
    #expect(throws: StackError.self) { try twins.array() }
    for level in [Int32(-4), -5, 7] {
      let members = WrittenMember.all(2, level: level, chunkSectors: 8)
      #expect(throws: StackError.self) { try members.array() }
    }
    // A torn superblock is none.
    var bytes = WrittenMember.all(1)[0].bytes
    bytes[4096 + 200] ^= 1
    #expect(try MDMember.find(on: Layer(MemoryMedium(path: "torn", bytes: bytes))) == nil)
  }

  @Test func linear() throws {
    let members = WrittenMember.all(2, level: -1)
    let array = try members.array()
    try expectConformance(
      of: array,
      to: members.bytes(
        of: [(0, 0), (1, 0)], element: WrittenMember.dataSize))
    #expect(throws: StackError.self) { try Array(members.dropLast()).array() }
  }

  @Test func striped() throws {
    // 24 KiB are no power of two, and do not divide the members' size.
    let members = WrittenMember.all(3, level: 0, chunkSectors: 48)
    let places = (0..<15).map { ($0 % 3, $0 / 3) }
    try expectConformance(
      of: members.array(), to: members.bytes(of: places, element: 24 << 10))
    var uneven = WrittenMember.all(2, .version0, level: 0, chunkSectors: 16)
    uneven[1].format = .behindTheStart
    uneven[1].array = 0xA5
    #expect(throws: StackError.self) { try uneven.array() }
  }

  /// Copies follow each other from member to member, and from row to row (raid10.c).
  @Test func raid10OverAnOddCountOfMembers() throws {
    let members = WrittenMember.all(3, level: 10, layout: 0x102, chunkSectors: 16)
    let array = try members.array()
    #expect(array.size == UInt64(8192 * 24))
    // A A B / B C C / D D E / E F F
    let places = (0..<24).map { element in
      let slot = element * 2
      return (slot % 3, slot / 3)
    }
    try expectConformance(of: array, to: members.bytes(of: places, element: 8192))
    for layout in [UInt32(0x201), 0x1_0201, 0x104, 0x100] {
      let other = WrittenMember.all(3, level: 10, layout: layout, chunkSectors: 16)
      #expect(throws: StackError.self) { try other.array() }
    }
  }

  /// The tables that the kernel's own comments and mdadm(8) draw. Arrays of all but two of these
  /// layouts, which Linux 6.1 had made and filled, were compared with what floe read of them.
  @Test(arguments: [
    // Level, layout, members of the data elements row by row.
    (Int32(5), UInt32(2), 4, [[0, 1, 2], [3, 0, 1], [2, 3, 0], [1, 2, 3]]),
    (5, 0, 4, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]),
    (5, 1, 4, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]),
    (5, 3, 4, [[1, 2, 3], [2, 3, 0], [3, 0, 1], [0, 1, 2]]),
    (5, 4, 3, [[1, 2], [1, 2]]), (5, 5, 3, [[0, 1], [0, 1]]), (4, 0, 3, [[0, 1], [0, 1]]),
    (6, 2, 5, [[1, 2, 3], [0, 1, 2], [4, 0, 1], [3, 4, 0], [2, 3, 4]]),
    (6, 8, 5, [[2, 3, 4], [0, 3, 4], [0, 1, 4], [0, 1, 2], [1, 2, 3]]),
    (6, 9, 5, [[0, 1, 2], [0, 1, 4], [0, 3, 4], [2, 3, 4], [1, 2, 3]]),
    (6, 10, 5, [[0, 1, 2], [4, 0, 1], [3, 4, 0], [2, 3, 4], [1, 2, 3]]),
    (6, 16, 5, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]),
    (6, 18, 5, [[0, 1, 2], [3, 0, 1], [2, 3, 0], [1, 2, 3]]),
    (6, 20, 5, [[1, 2, 3], [1, 2, 3]]), (6, 5, 5, [[0, 1, 2], [0, 1, 2]]),
  ])
  func parity(level: Int32, layout: UInt32, count: Int, rows: [[Int]]) throws {
    let members = WrittenMember.all(count, level: level, layout: layout, chunkSectors: 16)
    let places = (0..<16).flatMap { row in rows[row % rows.count].map { ($0, row) } }
    try expectConformance(of: members.array(), to: members.bytes(of: places, element: 8192))
    // A degraded one is the kernel's to work out, and a resync of parity is nothing to us.
    let dirty = WrittenMember.all(count, level: level, layout: layout, chunkSectors: 16) {
      $0.resync = 0
    }
    #expect(try dirty.array().size == members.array().size)
    let degraded = WrittenMember.all(count, level: level, layout: layout, chunkSectors: 16) {
      $0.roles[1] = 0xFFFE
    }
    do {
      _ = try degraded.array()
      Issue.record("it was not refused")
    } catch let error as StackError {
      #expect(error.description.contains("is not complete"), "\(error)")
    }
  }

  @Test func layoutsOfNobodyAreRefused() throws {
    for (level, layout) in [(Int32(5), UInt32(6)), (5, 8), (6, 7), (6, 21)] {
      let members = WrittenMember.all(5, level: level, layout: layout, chunkSectors: 16)
      #expect(throws: StackError.self) { try members.array() }
    }
  }

  /// What mdadm --examine said of the same members.
  @Test func superblocksOfTheKernelAreRead() throws {
    func read(_ recorded: RecordedSuperblock) throws -> (MDMember, MDSuperblock) {
      let member = try #require(try MDMember.find(on: recorded.layer))
      return (member, member.superblock)
    }
    let (member, raid5) = try read(.raid5)
    #expect(member.array == "79cc04d9:c1e478b7:3d186b3c:53958f34")
    #expect(raid5.level == 5 && raid5.layout == 1 && raid5.chunkSectors == 32)
    #expect(raid5.members == 4 && raid5.place == 2 && raid5.usedSize == 10_176 << 10)
    #expect(raid5.state.events == 18 && raid5.state.failed.isEmpty && raid5.state.isSynced)
    let (other, raid10) = try read(.raid10)
    #expect(other.array == "c146b722:5c8b17b6:25fbdb6a:3f944675" && raid10.name == "(none):t8")
    #expect(raid10.level == 10 && raid10.layout == 0x102 && raid10.place == 1)
    #expect(raid10.usedSize == 9216 << 10 && raid10.dataOffset == 1 << 20)
    let (_, failed) = try read(.failed)
    let (_, remaining) = try read(.remaining)
    #expect(failed.place == 0 && failed.state.failed.isEmpty && failed.state.events == 17)
    #expect(remaining.place == 1 && remaining.state.failed == [0] && remaining.state.events == 21)
    let members = try [RecordedSuperblock.failed, .remaining].compactMap {
      try MDMember.find(on: $0.layer)
    }
    let array = try #require(try MDArray(members)).map()
    guard case .below(let placement)? = array.runs.first?.content else { throw MemberMissing() }
    #expect(placement.targets.map { array.lower[$0.layer].title } == ["recorded remaining"])
  }

  private struct MemberMissing: Error {}

  /// Whatever a superblock says, what comes of it is an error or a map inside the members.
  @Test func hostileSuperblocks() throws {
    let seed = testSeed()
    var generator = SeededGenerator(seed: seed)
    let levels = [(Int32(1), UInt32(0)), (0, 0), (-1, 0), (5, 2), (6, 8), (10, 0x102)]
    let arrays = levels.map { level, layout in
      WrittenMember.all(4, level: level, layout: layout, chunkSectors: 16).map { ($0, $0.bytes) }
    }
    var mapped = 0
    for round in 0..<180 {
      let layers = arrays[round % arrays.count].map { member, whole -> Layer in
        var bytes = whole
        for _ in 0..<Int.random(in: 0...2, using: &generator) {
          // Not the count of roles, which tells what the checksum is of.
          let place =
            [8..<16, 72..<112, 128..<144, 152..<168, 184..<216, 256..<270]
            .randomElement(using: &generator)?.randomElement(using: &generator) ?? 8
          bytes[4096 + place] =
            generator.chance(50) ? 0xFF : UInt8.random(in: 0...255, using: &generator)
        }
        bytes.replaceSubrange(4096..<8192, with: member.sealed(Array(bytes[4096..<8192])))
        return Layer(MemoryMedium(path: "member \(member.place)", bytes: bytes))
      }
      guard let found = try? layers.compactMap({ try MDMember.find(on: $0) }),
        let array = try? MDArray(found), let map = try? array.map()
      else { continue }
      mapped += 1
      let layer = Layer(map)
      for offset in [0, map.size / 2, map.size - min(map.size, 512)] {
        _ = try? layer.bytes(at: offset, count: Int(min(512, map.size - offset)))
      }
      _ = try Stack(top: layer).storeMap()
    }
    #expect(mapped > 10, "seed \(seed)")
  }

  /// The first sector of every superblock is a witness, its UUIDs are the identity.
  @Test(arguments: WrittenMember.Format.allCases)
  func superblocksAreWatched(_ format: WrittenMember.Format) throws {
    let stack = try Stack(top: WrittenMember.all(2, format).array())
    #expect(stack.validation == .witness)
    let media = try stack.media()
    #expect(Set(media.map(\.identityBytes)).count == 2)
    let changed = try Stack(
      top: WrittenMember.all(2, format) { $0.events += $0.place == 1 ? 1 : 0 }.array())
    #expect(try changed.media().map(\.identityBytes) == media.map(\.identityBytes))
    #expect(try changed.configurationID() != stack.configurationID())
  }
}
