import FrozenImage
import Synchronization
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
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
      let root = try found.choose("root")
      #expect(found.raidsNow(under: root).isEmpty == !hasArchive)
      #expect(found.liesOnRaid(root))
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

    /// A thick snapshot beside a raid, and one whose origin is a raid: the kernel is asked of what
    /// lies below the image, and of nothing else.
    @Test func onlyRaidsBelowAreAskedAbout() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      func snapshot(_ number: Int, of origin: String, in store: String) -> String {
        VolumeText.volume(
          "snapshot\(number)",
          VolumeText.segment(
            "snapshot", extents: 0..<4,
            "chunk_size = 8\norigin = \"\(origin)\"\ncow_store = \"\(store)\""))
      }
      func store(_ name: String, _ place: String) -> String {
        VolumeText.volume(
          name, isVisible: false, status: ["READ"],
          [place].linear)
      }
      let raid = VolumeText.segment(
        "raid1", extents: 0..<4,
        """
        device_count = 2
        region_size = 4096
        raids = ["root_rmeta_0", "root_rimage_0", "root_rmeta_1", "root_rimage_1"]
        """)
      try disks.restore(
        volumes: [
          VolumeText.volume("root", raid), VolumeText.volume("plain", ["pv0 50"].linear),
          store("s0", "pv0 60"), store("s1", "pv0 70"), snapshot(0, of: "root", in: "s0"),
          snapshot(1, of: "plain", in: "s1"),
        ]
          + (0..<2).flatMap { leg in
            ["root_rmeta_\(leg)": 10, "root_rimage_\(leg)": 20].map { name, extent in
              VolumeText.volume(name, isVisible: false, ["pv\(leg) \(extent)"].linear)
            }
          })
      let asked = Mutex(0)
      let raids = ActiveRaids(statuses: { _ in
        asked.withLock { $0 += 1 }
        return ["raid raid1 2 AA 8192/8192 idle 0 0 -"]
      })
      var volumes: [PhysicalVolume] = []
      for layer in try disks.layers() {
        if let volume = try PhysicalVolume.find(on: layer) { volumes.append(volume) }
      }
      let found = try #require(
        FoundVolumeGroup.groups(of: volumes, activeRaids: raids).first)
      for (name, lies) in [("plain", false), ("s1", false), ("root", true), ("s0", true)] {
        let volume = try #require(found.group.logicalVolume(name))
        let before = asked.withLock { $0 }
        #expect(found.liesOnRaid(volume) == lies, "\(name)")
        #expect(found.raidsNow(under: volume).count == (lies ? 1 : 0), "\(name)")
        #expect(asked.withLock { $0 } == before + (lies ? 1 : 0), "\(name)")
      }
    }

    /// The storage says that its word is not the last one.
    @Test func theStorageTellsThatAKernelMayKnowMore() throws {
      let raid = try StorageBackup(disks())
      // One state does not stand for one map.
      #expect(try raid.answer().volume != nil)
      #expect(raid.source.liesOnRaid)
      let plain = try LVMDisks(1)
      try plain.makeGroup()
      try plain.restore(volumes: [VolumeText.volume("root", ["pv0 0"].linear)])
      let other = try StorageBackup(plain)
      _ = try other.answer()
      #expect(!other.source.liesOnRaid)
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

extension [String] {
  /// A linear segment of four extents at each of these places.
  fileprivate var linear: [String] { VolumeText.segments("striped", self, extents: 4) }
}
