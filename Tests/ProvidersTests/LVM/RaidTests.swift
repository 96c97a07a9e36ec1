import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension LVMTests {
  /// Arrays of md below logical volumes, by the superblocks of their legs.
  @Suite struct Raids {
    private static let mirror = WrittenSuperblock(members: 2, place: 0, level: 1)
    private static let threeLegs = WrittenSuperblock(members: 3, place: 0, level: 1)

    private func disks(
      _ count: Int = 2, _ superblock: WrittenSuperblock = mirror,
      change: (inout WrittenSuperblock) -> Bool = { _ in true }
    ) throws -> LVMDisks {
      let disks = try LVMDisks(count)
      try disks.makeGroup()
      try disks.makeRaid("raid1", superblock, change: change)
      return disks
    }

    /// Why a mirror of three legs, the superblock of one of which differs, is refused; the
    /// copies that are read when it is not.
    private func outcome(
      change: @escaping (inout WrittenSuperblock) -> Bool
    ) throws -> String {
      let disks = try disks(3, Self.threeLegs, change: change)
      let refusal = try disks.refusal("root")
      return refusal == "not refused"
        ? try disks.disksOfCopies().joined(separator: ", ") : refusal
    }

    @Test func legsInSyncAreRead() throws {
      #expect(try disks().disksOfCopies() == ["disk 0", "disk 1"])
      #expect(try outcome { _ in true } == "disk 0, disk 1, disk 2")
      // A crash between two superblocks leaves the last one behind.
      #expect(
        try outcome { leg in
          leg.events -= leg.place == 2 ? 1 : 0
          return true
        } == "disk 0, disk 1, disk 2")
    }

    @Test func legThatIsNotUpToDateIsLeftOut() throws {
      // Failed: it is written to the others alone.
      #expect(
        try outcome { leg in
          if leg.place != 1 {
            leg.events += 1
            leg.failed = 1 << 1
          }
          return true
        } == "disk 0, disk 2")
      #expect(
        try outcome { leg in
          leg.recovered = leg.place == 0 ? 128 : .max
          return true
        } == "disk 1, disk 2")
      // It may have been in the array before another leg took its place.
      #expect(
        try outcome { leg in
          leg.events -= leg.place == 2 ? 2 : 0
          return true
        }.contains("leg 2 of the logical volume vg/root is out of date, and the others do not say"))
      #expect(
        try outcome { leg in
          leg.events -= leg.place == 2 ? 2 : 0
          leg.failed = leg.place == 2 ? 0 : 1 << 2
          return true
        } == "disk 0, disk 1")
      // Only where all others call it failed may one have no superblock.
      #expect(
        try outcome { leg in
          leg.failed = 1 << 0
          return leg.place != 0
        } == "disk 1, disk 2")
    }

    @Test func mirrorOfWhichNothingIsProvenIsRefused() throws {
      #expect(
        try outcome { leg in
          leg.synced = 4096
          return true
        } == """
          the legs of the logical volume vg/root are not in sync (being synchronised, or in use \
          and not clean): freeze it when they are, as lvs -o sync_percent or /proc/mdstat shows
          """)
      #expect(
        try outcome { leg in leg.place != 1 } == """
          leg 1 of the logical volume vg/root is missing, and the others do not say that it \
          failed, so nothing shows that they are up to date
          """)
      #expect(
        try outcome { leg in
          leg.failed = leg.place == 0 ? 0b110 : 0b001
          leg.events += leg.place == 0 ? 5 : 0
          return true
        } == """
          the legs of the logical volume vg/root were written each without the other, and call \
          each other failed: nothing shows which holds the data
          """)
      #expect(
        try outcome { _ in false } == """
          the logical volume vg/root has no superblock of its raid, so nothing shows which leg \
          is in sync: the kernel writes them when the volume is activated first
          """)
      #expect(
        try outcome { leg in
          leg.recovered = 0
          return true
        } == """
          the logical volume vg/root is not complete, and only the kernel can work out what is \
          missing: leg 0 is being rebuilt, leg 1 is being rebuilt, leg 2 is being rebuilt
          """)
    }

    @Test func superblocksThatMakeNoSenseAreRefused() throws {
      let odds = """
        the superblocks of the raid of the logical volume vg/root are at odds with each other, \
        or with its type raid1
        """
      #expect(
        try outcome { leg in
          leg.level = leg.place == 1 ? 10 : 1
          return true
        } == odds)
      #expect(
        try outcome { leg in
          leg.place = 2 - leg.place
          return true
        } == odds)
      #expect(
        try outcome { leg in
          leg.members = 4
          return true
        } == odds)
      #expect(
        try outcome { leg in
          leg.flags = 1
          return true
        } == "the raid of the logical volume vg/root is being reshaped")
      #expect(
        try outcome { leg in
          leg.newLayout = 7
          return true
        } == "the raid of the logical volume vg/root is being reshaped")
      #expect(
        try outcome { leg in
          leg.dataOffset = 2048
          return true
        } == """
          the raid of the logical volume vg/root was reshaped, so its data begin elsewhere
          """)
      #expect(
        try outcome { leg in
          leg.features = 3
          return true
        }.contains("features that floe does not know"))
    }

    /// A leg that is written late is never read.
    @Test func writeMostlyLegIsLeftOut() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeRaid(
        "raid1", leg: ["root_rimage_1": ["READ", "WRITE", "WRITEMOSTLY"]], Self.mirror)
      #expect(try disks.disksOfCopies() == ["disk 0"])
    }

    @Test func mirrorThatWasNeverSynchronisedIsRefused() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeRaid("raid1", status: ["READ", "WRITE", "NOTSYNCED"], Self.mirror)
      #expect(
        try disks.refusal("root") == """
          the legs of the logical volume vg/root were never brought in sync (--nosync), so they \
          may differ where nothing was written: lvchange --resync vg/root does that
          """)
    }

    /// A leg's disk is gone: what the others say decides.
    @Test func missingDisk() throws {
      let disks = try disks(3, Self.threeLegs)
      func copies() throws -> Int {
        let group = try LVMDisks.group(on: Array(try disks.layers().dropLast()))
        let map = try group.map(group.choose("root"))
        guard case .below(let placement)? = map.runs.first?.content else { return 0 }
        return placement.copies
      }
      #expect(throws: StackError.self) { try copies() }
      try disks.writeSuperblocks(Self.threeLegs) { leg in
        leg.events += 1
        leg.failed = 1 << 2
        return true
      }
      #expect(try copies() == 2)
    }

    /// What is left of a leg whose disk was taken out of the group.
    @Test func legOfWhichNothingIsLeft() throws {
      let disks = try LVMDisks(3)
      try disks.makeGroup()
      try disks.makeRaid("raid1", lost: 2, Self.threeLegs) { leg in
        leg.failed = 1 << 2
        return true
      }
      #expect(try disks.disksOfCopies() == ["disk 0", "disk 1"])
    }

    /// Each superblock is a witness: one that changes is asked about.
    @Test func everySuperblockIsWatched() throws {
      let disks = try disks()
      var seen = [try Stack(top: disks.layer("root")).configurationID()]
      for leg in UInt32(0)..<2 {
        try disks.writeSuperblocks(Self.mirror) { superblock in
          if superblock.place == leg { superblock.events += 1 }
          return true
        }
        let id = try Stack(top: disks.layer("root")).configurationID()
        #expect(!seen.contains(id))
        seen.append(id)
      }
    }

    /// Parity is never read, so that every leg is needed, whatever state the parity is in.
    @Test func parity() throws {
      let superblock = WrittenSuperblock(
        members: 3, place: 0, level: 5, layout: 2, stripeSectors: 32, synced: 0)
      let disks = try LVMDisks(3)
      try disks.makeGroup()
      try disks.makeRaid(
        "raid5", extents: 8, body: "region_size = 4096\nstripe_size = 32", superblock)
      let layer = try disks.layer("root")
      // Left-symmetric: D0 D1 P, D3 P D2, P D4 D5.
      let legs = try (0..<3).map { try disks.part("root_rimage_\($0)") }
      let places = [(0, 0), (1, 0), (2, 1), (0, 1), (1, 2), (2, 2), (0, 3), (1, 3)]
      for (element, place) in places.enumerated() {
        let bytes = try layer.bytes(at: UInt64(element) << 14, count: 1 << 14)
        #expect(bytes == Array(legs[place.0][place.1 << 14..<(place.1 + 1) << 14]))
      }
      try disks.writeSuperblocks(superblock) { leg in
        if leg.place != 1 {
          leg.events += 1
          leg.failed = 1 << 1
        }
        return true
      }
      #expect(
        try disks.refusal("root") == """
          the logical volume vg/root is not complete, and only the kernel can work out what is \
          missing: leg 1 has failed
          """)
    }

    /// Each column has as many copies as the one that has the fewest.
    @Test func raid10() throws {
      let superblock = WrittenSuperblock(
        members: 4, place: 0, level: 10, layout: 0x102, stripeSectors: 32)
      let disks = try LVMDisks(4)
      try disks.makeGroup()
      try disks.makeRaid(
        "raid10", extents: 8, body: "region_size = 4096\nstripe_size = 32", superblock)
      #expect(try disks.disksOfCopies() == ["disk 0", "disk 1"])
      try disks.writeSuperblocks(superblock) { leg in
        if leg.place != 2 {
          leg.events += 1
          leg.failed = 1 << 2
        }
        return true
      }
      #expect(try disks.disksOfCopies() == ["disk 0"])
      try disks.writeSuperblocks(superblock) { leg in
        leg.layout = 0x201
        leg.newLayout = 0x201
        return true
      }
      #expect(try disks.refusal("root").contains("do not lie near each other"))
    }

    @Test func reshapedVolumeIsRefused() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeRaid("raid1", body: "region_size = 4096\ndata_offset = 0", Self.mirror)
      #expect(
        try disks.refusal("root").contains("its layout is not known, or a reshape changes it"))
    }
  }
}

extension LVMDisks {
  /// The bytes of an internal volume.
  fileprivate func part(_ name: String) throws -> [UInt8] {
    try ReportedVolumes(self).bytes(of: name)
  }
}
