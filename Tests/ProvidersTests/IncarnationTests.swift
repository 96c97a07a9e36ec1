import FrozenImage
import Testing

@testable import BtrfsProvider
@testable import LogicalRepresentation

/// What a source says of states that were noted while the file system was mounted another
/// time: between two mounts, the storage may have been taken back.
extension BtrfsTests {
  @Suite("btrfs incarnation") struct IncarnationTests {
    @Test func ofAnotherMountEverythingMayDiffer() throws {
      let volume = try LoopVolume()
      try shell("btrfs -q subvolume create \(volume.path("data")); date > \(volume.path("data/f"))")
      let frozen = try BtrfsFreezer(path: volume.path("data")).freeze(as: .random())
      let representation = try DescribedImage.describe(
        frozen, as: .random(), of: volume.path("data"))
      let described = representation.volumes[0].state
      func answer(_ known: MappingState) throws -> MappingAnswer {
        let source = try BtrfsSource(frozen, representation: { representation })
        return try source.answer(
          MappingQuestion(known: known, found: known.configurationID, portions: []))
      }
      let before = try answer(described)
      // Another source, of the same mount.
      #expect(before.changes == .ranges([]))
      #expect(!before.state.marks.isEmpty && !described.marks.isEmpty)

      try volume.unmounted {}
      let after = try answer(before.state)
      #expect(after.changes == .everything)
      #expect(after.volume != nil)
      #expect(try answer(described).changes == .everything)
      #expect(try answer(after.state).changes == .ranges([]))
    }

    @Test func notesOfOlderVersionsAreOfAnotherMount() throws {
      let old = MappingCursor(generation: 9, floor: 8, changeTransaction: 7, incarnation: nil)
      #expect(old.bytes.count == 25 && MappingCursor(bytes: old.bytes) == old)
      let new = MappingCursor(
        generation: 9, floor: 8, changeTransaction: 7, incarnation: Incarnation(of: .random()))
      #expect(MappingCursor(bytes: new.bytes) == new && new.incarnation != nil)
      #expect(MappingCursor(bytes: Array(new.bytes.dropLast())) == nil)
    }
  }
}
