import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension LVMTests {
  /// Legs of a raid that the superblocks alone do not tell of.
  @Suite struct RaidLegs {
    private static let mirror = WrittenSuperblock(members: 2, place: 0, level: 1)

    private func disks(_ leg: [String: [String]] = [:]) throws -> LVMDisks {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeRaid("raid1", leg: leg, Self.mirror)
      return disks
    }

    /// The copies that are read while the kernel shows devices of the volume in these states;
    /// why none are.
    private func outcome(_ statuses: [String], hasArchive: Bool = true) throws -> String {
      let disks = try disks()
      var volumes: [PhysicalVolume] = []
      for layer in try disks.layers() {
        if let volume = try PhysicalVolume.find(on: layer) { volumes.append(volume) }
      }
      let id = try #require(disks.group().group.logicalVolume("root")?.id)
      let group = try disks.group().group.id
      let expected = "LVM-" + String(decoding: group.bytes + id.bytes, as: UTF8.self)
      let raids = ActiveRaids(statuses: { $0 == expected ? statuses : [] })
      let found = try #require(
        FoundVolumeGroup.groups(of: volumes, hasArchive: hasArchive, activeRaids: raids).first)
      #expect((found.raidsNow().isEmpty) == !hasArchive)
      do throws(StackError) {
        let map = try found.map(found.choose("root"))
        guard case .below(let placement)? = map.runs.first?.content else { return "nothing" }
        return placement.targets.map { map.lower[$0.layer].title.suffix(1) }.joined(separator: ", ")
      } catch {
        return error.description
      }
    }

    /// A volume that was activated with a leg missing: no superblock says so before one is
    /// written, and the leg is there again.
    @Test func theKernelKnowsMore() throws {
      #expect(try outcome([]) == "0, 1")
      #expect(try outcome(["raid raid1 2 AA 8192/8192 idle 0 0 -"]) == "0, 1")
      #expect(try outcome(["raid raid1 2 A- 8192/8192 idle 0 0 -"]) == "0")
      #expect(try outcome(["raid raid1 2 DA 8192/8192 idle 0 0 -"]) == "1")
      #expect(try outcome(["raid raid1 2 Aa 4096/8192 recover 0 0 -"]) == "0")
      // Below an origin of snapshots.
      #expect(
        try outcome(["snapshot-origin 253:7", "raid raid1 2 A- 8192/8192 idle 0 0 -"]) == "0")
      #expect(
        try outcome(["raid raid1 2 aa 4096/8192 resync 0 0 -"]).contains(
          "leg 0 is not in sync, as the kernel has it, leg 1 is not in sync"))
    }

    @Test func whatTheKernelDoesNotTellIsNotBelieved() throws {
      for statuses in [["linear "], [""], ["raid raid1"], ["raid raid1 2 AAA 1/1 idle"]] {
        #expect(
          try outcome(statuses) == """
            the logical volume vg/root is active, and the kernel does not tell of the legs of its \
            raid
            """)
      }
      #expect(
        try outcome(["raid raid1 3 AAA 8192/8192 idle 0 0 -"]).contains(
          "the kernel has 3 legs of the logical volume vg/root, and the metadata 2"))
      // Another host's kernel says nothing of this host's.
      #expect(try outcome(["raid raid1 2 A- 8192/8192 idle 0 0 -"], hasArchive: false) == "0, 1")
    }

    /// `lvconvert --splitmirrors 1 --trackchanges`: writes go to the others alone.
    @Test(arguments: [["READ", "VISIBLE"], ["READ"]])
    func legThatWasSplitOffIsLeftOut(_ status: [String]) throws {
      #expect(try disks(["root_rimage_1": status]).disksOfCopies() == ["disk 0"])
    }

    /// A leg that was out when its raid was reshaped tells of the raid as it was.
    @Test func aLegOfBeforeStandsInNobodysWay() throws {
      let disks = try LVMDisks(3)
      try disks.makeGroup()
      let superblock = WrittenSuperblock(members: 3, place: 0, level: 1)
      try disks.makeRaid("raid1", superblock) { leg in
        if leg.place == 2 {
          leg.members = 4
          leg.flags = 1
          leg.events -= 6
        } else {
          leg.failed = 1 << 2
        }
        return true
      }
      #expect(try disks.disksOfCopies() == ["disk 0", "disk 1"])
    }
  }
}
