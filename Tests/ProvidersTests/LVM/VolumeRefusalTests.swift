import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension LVMTests {
  @Suite struct Refusals {
    /// What lvm2 makes, or takes from text, without device-mapper.
    @Test(arguments: ForeignType.all)
    func foreignType(_ type: ForeignType) throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.restore(volumes: type.volumes)
      let refusal = try disks.refusal("root")
      #expect(refusal == type.refusal)
    }

    @Test func errorAndZero() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      for type in ["error", "zero"] {
        try disks.makeVolume(type, "--type \(type) -l 3 vg")
        #expect(
          try disks.refusal(type) == """
            the logical volume vg/\(type) has a segment (segment1) of type \(type), which floe \
            cannot map: it has no place on a medium
            """)
      }
    }

    /// A thick snapshot's store looks like any volume.
    @Test func snapshot() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      let plain = [
        VolumeText.volume("root", VolumeText.segments("striped", ["pv0 0"], extents: 4)),
        VolumeText.volume("before", VolumeText.segments("striped", ["pv0 9"], extents: 4)),
      ]
      func snapshot(_ role: String) -> String {
        VolumeText.volume(
          "snapshot0", isVisible: false,
          VolumeText.segment(
            "snapshot", extents: 0..<4,
            "chunk_size = 8\norigin = \"root\"\n\(role) = \"before\""))
      }
      try disks.restore(volumes: plain + [snapshot("cow_store")])
      #expect(
        try disks.refusal("before") == """
          the logical volume vg/before is a snapshot that may be written, so it is not frozen: \
          make it read-only (lvchange -pr vg/before), or make one that is (lvcreate -s -pr)
          """)
      // The origin itself stays where it is.
      #expect(try disks.layer("root").size == 4 * 65536)
      try disks.restore(volumes: plain + [snapshot("merging_store")])
      #expect(
        try disks.refusal("root") == """
          the logical volume vg/root takes back its snapshot vg/before, so floe cannot map it \
          before that has ended
          """)
    }

    /// A thin volume leads through its pool only where nobody can write it.
    @Test func thinVolume() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      func refusal(status: [String], _ more: String = "") throws -> String {
        try disks.restore(volumes: [
          VolumeText.volume(
            "root", status: status,
            VolumeText.segment(
              "thin", extents: 0..<4,
              "thin_pool = \"pool\"\ntransaction_id = 0\ndevice_id = 1\n\(more)")),
          VolumeText.volume(
            "pool", isVisible: false,
            VolumeText.segment(
              "thin-pool", extents: 0..<4,
              """
              metadata = "pool_tmeta"
              pool = "pool_tdata"
              transaction_id = 1
              chunk_size = 128
              """)),
          VolumeText.volume(
            "pool_tmeta", isVisible: false,
            VolumeText.segments("striped", ["pv0 20"], extents: 4)),
          VolumeText.volume(
            "pool_tdata", isVisible: false,
            VolumeText.segments("striped", ["pv0 30"], extents: 4)),
          VolumeText.volume(
            "outside", status: ["READ"], VolumeText.segments("striped", ["pv0 40"], extents: 4)),
        ])
        return try disks.refusal("root")
      }
      #expect(
        try refusal(status: ["READ", "WRITE"]) == """
          the logical volume vg/root is a thin volume that may be written, so it is not frozen: \
          make a read-only snapshot of it (lvcreate -s -pr -kn) and freeze that
          """)
      #expect(
        try refusal(status: ["READ"], "external_origin = \"outside\"") == """
          the logical volume vg/root has an external origin, vg/outside, which holds the rest of \
          it: floe cannot map that
          """)
      // What lies there are no metadata.
      #expect(
        try refusal(status: ["READ"])
          == "block 0 of the metadata of the thin pool vg/pool is damaged")
    }

    @Test func missingVolume() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("one", "-l 4 vg \(disks.devices[0])")
      try disks.makeVolume("both", "-i 2 -l 4 vg")
      let volumes = try disks.volumes()
      let left = try #require(FoundVolumeGroup.groups(of: [volumes[0]]).first)
      #expect(
        throws: StackError(
          .medium,
          "segment1 of the logical volume vg/both lies on the physical volume "
            + "\(volumes[1].id) (last seen as \(disks.devices[1])), which is missing")
      ) { try left.map(left.choose("both")) }
      // Its own disk tells enough of the other.
      let map = try left.map(left.choose("one"))
      #expect(map.lower.count == 1)
      // It does not where its metadata are not in use.
      try disks.lvm("pvchange --metadataignore y \(disks.devices[0])")
      try disks.lvm("vgextend vg \(try disks.addDisk())")
      let three = try disks.volumes()
      let two = try #require(FoundVolumeGroup.groups(of: Array(three[0...1])).first)
      #expect(
        throws: StackError(
          .medium,
          "the physical volume \(three[2].id) (last seen as \(disks.devices[2])) of the volume "
            + "group vg is missing, and \(three[0].id) (last seen as \(disks.devices[0])) has no "
            + "metadata in use that would show a change without it")
      ) { try two.map(two.choose("one")) }
    }

    @Test func volumeMarkedMissing() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("both", "-i 2 -l 4 vg")
      // A commit while a disk is away marks it.
      try disks.lvm("lvchange --addtag one vg/both", hiding: 1)
      let id = try disks.volumes()[1].id
      #expect(
        try disks.refusal("both") == """
          segment1 of the logical volume vg/both lies on the physical volume \(id), which is \
          marked MISSING
          """)
    }

    @Test func clone() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 4 vg")
      let copy = try disks.addDisk(copyOf: 0)
      #expect(copy == disks.devices[1])
      let id = try disks.volumes()[0].id
      #expect(
        try disks.refusal("root") == """
          the physical volume \(id) of the volume group vg appears 2 times, as \
          \(disks.images[0]) and \(disks.images[1])
          """)
    }

    @Test func exportedGroup() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 4 vg")
      try disks.lvm("vgexport vg")
      #expect(try disks.refusal("root") == "the volume group vg is exported (vgexport)")
    }

    @Test func diskThatIsCutShort() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 60 vg")
      try shell("truncate -s 4M \(disks.images[0])")
      #expect(
        try disks.refusal("root") == """
          segment1 of the logical volume vg/root lies beyond the end of \(disks.images[0]), \
          which has 4194304 bytes
          """)
    }
  }
}
