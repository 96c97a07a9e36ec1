import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import StackProvider
@testable import VolumeLayers

extension LVMTests {
  @Suite struct ThickSnapshots {
    /// A group with an origin of 4 extents and a read-only snapshot of it, whose store holds
    /// its chunk 5.
    private func disks() throws -> (disks: LVMDisks, frozen: [UInt8]) {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.restore(volumes: Self.volumes(status: ["READ"]))
      let frozen = try disks.layer("root").bytes(at: 0, count: 4 * 65536)
      var store = [UInt8](repeating: 0, count: 4096)
      store.set(UInt32(0x7041_6e53), at: 0)
      store.set(UInt32(1), at: 4)
      store.set(UInt32(1), at: 8)
      store.set(UInt32(8), at: 12)
      store += [UInt8](repeating: 0, count: 4096)
      store.set(UInt64(5), at: 4096)
      store.set(UInt64(2), at: 4096 + 8)
      store += frozen[5 * 4096..<6 * 4096]
      try write(store, to: disks.images[0], at: 1 << 20 + 9 * 65536)
      try write(
        [UInt8](repeating: 1, count: 4096), to: disks.images[0], at: 1 << 20 + 5 * 4096)
      return (disks, frozen)
    }

    private static func volumes(status: [String], role: String = "cow_store") -> [String] {
      [
        VolumeText.volume("root", VolumeText.segments("striped", ["pv0 0"], extents: 4)),
        VolumeText.volume(
          "snap", isVisible: false, status: status,
          VolumeText.segments("striped", ["pv0 9"], extents: 4)),
        VolumeText.volume(
          "snapshot0",
          VolumeText.segment(
            "snapshot", extents: 0..<4, "chunk_size = 8\norigin = \"root\"\n\(role) = \"snap\"")),
      ]
    }

    @Test func leadsToOriginAndStore() throws {
      let (disks, frozen) = try disks()
      let layer = try disks.layer("snap")
      try expectConformance(of: layer, to: frozen)
      #expect(try disks.layer("root").bytes(at: 0, count: 4 * 65536) != frozen)
      let stack = try Stack(top: layer)
      #expect(stack.validation == .witness)
      // The group's, the header, the exceptions up to the next free slot.
      let medium = try #require(stack.layers.last)
      let store: UInt64 = 1 << 20 + 9 * 65536
      #expect(stack.witnessPlaces(on: medium).contains(store))
      #expect(stack.witnessPlaces(on: medium).contains(store + 4096))
    }

    /// A chunk that was copied already could be overwritten without a trace.
    @Test func writableMeanwhile() throws {
      let (disks, _) = try disks()
      let frozen = try Stack(top: disks.layer("snap"))
      #expect(
        try Stack(top: disks.layer("snap")).departure(since: frozen.cursor, frozen: 0) == nil)
      try disks.restore(volumes: Self.volumes(status: ["READ", "WRITE"]))
      #expect(
        try disks.refusal("snap") == """
          the logical volume vg/snap is a snapshot that may be written, so it is not frozen: make \
          it read-only (lvchange -pr vg/snap), or make one that is (lvcreate -s -pr)
          """)
      let number = try disks.group().group.sequenceNumber
      try disks.restore(volumes: Self.volumes(status: ["READ"]))
      #expect(
        try Stack(top: disks.layer("snap")).departure(since: frozen.cursor, frozen: 0)
          == "the snapshot vg/snap could be written since change \(number) of its group")
    }

    /// One that the user made is told of as floe's own are.
    @Test func fill() throws {
      let (disks, _) = try disks()
      var options = SearchOptions()
      options.physicalVolumes = disks.images
      options.assumesFrozen = true
      func fill(_ name: String) throws -> SnapshotFill? {
        let data = try #require(try VolumeStacks.find(NamedData("vg/\(name)"), options))
        return try data.plan(for: .random()).fill
      }
      // Header, exceptions and one chunk, of 64 in four extents.
      #expect(try fill("snap")?.data == 3 / 64 * 100)
      #expect(try fill("snap")?.title == "the snapshot vg/snap")
      #expect(try fill("root") == nil)
    }

    /// Nothing was frozen yet that could be thawed.
    @Test func overflowBeforeTheFreeze() throws {
      let (disks, _) = try disks()
      try write([0, 0, 0, 0], to: disks.images[0], at: 1 << 20 + 9 * 65536 + 4)
      var options = SearchOptions()
      options.physicalVolumes = disks.images
      let error = #expect(throws: StackError.self) {
        try VolumeStacks.find(NamedData("vg/snap"), options)
      }
      #expect(error?.code == .medium)
      #expect(error?.description.contains("overflowed") == true)
    }

    @Test func merge() throws {
      let (disks, _) = try disks()
      try disks.restore(volumes: Self.volumes(status: ["READ"], role: "merging_store"))
      #expect(
        try disks.refusal("snap") == """
          the logical volume vg/snap is a snapshot that its origin vg/root takes back, so floe \
          cannot map it
          """)
    }
  }
}
