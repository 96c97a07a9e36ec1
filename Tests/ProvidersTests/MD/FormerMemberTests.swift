import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// Superblocks that were left where they are no longer true.
@Suite struct FormerMemberTests {
  private func refusal(_ body: () throws -> Void) throws -> StackError? {
    do {
      try body()
      return nil
    } catch let error as StackError {
      return error
    }
  }

  /// A disk with superblocks of several formats.
  private func disk(_ members: [WrittenMember]) -> Layer {
    var bytes = members[0].bytes
    for member in members.dropFirst() {
      let own = member.bytes
      let start = member.superblockOffset
      bytes.replaceSubrange(start..<start + 4096, with: own[start..<start + 4096])
    }
    return Layer(MemoryMedium(path: "disk", bytes: bytes))
  }

  /// An array was made over one of another format: which of them is in use, nothing tells.
  @Test(arguments: [
    (WrittenMember.Format.behindTheStart, WrittenMember.Format.version0),
    (.behindTheStart, .atTheEnd), (.atTheStart, .version0), (.atTheEnd, .version0),
  ])
  func twoArraysOnOneDisk(_ one: WrittenMember.Format, _ other: WrittenMember.Format) throws {
    let first = WrittenMember.all(2, one)[0]
    var second = WrittenMember.all(2, other)[0]
    second.array = 0x11
    let disk = disk([first, second])
    let error = try refusal { _ = try MDMember.find(on: disk) }
    #expect(error?.code == .malformed)
    let text = error?.description ?? ""
    #expect(
      text.contains("disk has superblocks of two md arrays") && text.contains("a5a5a5a5:")
        && text.contains("11111111:"), "\(text)")
  }

  /// The format of one array was changed (mdadm --update=metadata), which may leave the old
  /// superblock: the newer one counts, wherever it lies.
  @Test func twoFormatsOfOneArray() throws {
    var members = WrittenMember.all(2, .atTheStart)
    for index in members.indices { members[index].events = 3 }
    let layers = zip(members, WrittenMember.all(2, .atTheEnd)).map { disk([$0, $1]) }
    let found = try layers.compactMap { try MDMember.find(on: $0) }
    #expect(found.map(\.superblock.state.events) == [17, 17])
    #expect(found.map(\.superblock.dataOffset) == [0, 0])
  }

  /// A member that failed, after which the array grew, was reshaped or got another member in
  /// its place.
  @Test func aMemberOfBeforeStandsInNobodysWay() throws {
    for change in [
      { $0.roles = [0, 1] }, { $0.features = 4 }, { $0.level = 5 }, { $0.features = 512 },
    ] as [(inout WrittenMember) -> Void] {
      var members = WrittenMember.all(3) { $0.roles[1] = 0xFFFE }
      members[1].roles[1] = 1
      members[1].events -= 9
      change(&members[1])
      let map = try #require(members.array().map)
      guard case .below(let placement)? = map.runs.first?.content else {
        Issue.record("no mirror")
        return
      }
      #expect(
        placement.targets.map { map.lower[$0.layer].title } == ["member 0", "member 2"])
    }
    // Two that were replaced, one after the other.
    var members = WrittenMember.all(2)
    var former = members[1]
    former.events -= 9
    members.append(former)
    members.append(former)
    #expect(try members.array().size == UInt64(WrittenMember.dataSize))
    // Two that are both of now are none.
    members.append(members[1])
    let error = try refusal { _ = try members.array() }
    #expect(error?.description.contains("member 1 of the md array here:0 appears twice") == true)
  }
}
