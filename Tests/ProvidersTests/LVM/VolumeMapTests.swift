import FrozenImage
import Media
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension LVMTests {
  @Suite struct Maps {
    /// Volumes that grew in turn, so that each has several segments on both disks.
    @Test func linearVolumesOfManySegments() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      for name in ["root", "var"] { try disks.makeVolume(name, "-l 3 vg \(disks.devices[0])") }
      for round in 0..<6 {
        let device = disks.devices[(round + 1) % 2]
        for name in ["root", "var"] {
          try disks.lvm("lvextend -l +\(round % 3 + 1) vg/\(name) \(device)")
        }
      }
      let reported = try ReportedVolumes(disks)
      for name in ["root", "var"] {
        #expect(reported.segmentCount(name) > 4)
        try expectConformance(of: disks.layer(name), to: reported.bytes(of: name))
      }
    }

    @Test(arguments: [("2", "4k"), ("2", "64k"), ("3", "8k"), ("3", "16k")])
    func stripedVolumes(stripes: String, size: String) throws {
      let disks = try LVMDisks(3)
      try disks.makeGroup()
      try disks.makeVolume("before", "-l 5 vg \(disks.devices[1])")
      try disks.makeVolume("striped", "-i \(stripes) -I \(size) -l 12 vg")
      try disks.makeVolume("between", "-l 3 vg \(disks.devices[0])")
      // A second striped segment, and a linear one after it.
      try disks.lvm("lvextend -i \(stripes) -I \(size) -l +6 vg/striped")
      try disks.lvm("lvextend -i 1 -l +2 vg/striped \(disks.devices[2])")
      let reported = try ReportedVolumes(disks)
      #expect(reported.segmentCount("striped") == 3)
      try expectConformance(of: disks.layer("striped"), to: reported.bytes(of: "striped"))
    }

    @Test func raid0() throws {
      let disks = try LVMDisks(3)
      try disks.makeGroup()
      try disks.makeVolume("fast", "--type raid0 -i 3 -I 16k -l 9 vg")
      let reported = try ReportedVolumes(disks)
      let layer = try disks.layer("fast")
      try expectConformance(of: layer, to: reported.bytes(of: "fast"))
      // Only the group's own volumes are listed, not the images.
      #expect(try disks.group().logicalVolumes.map(\.name) == ["fast"])
      #expect(
        try disks.refusal("fast_rimage_0") == """
          vg/fast_rimage_0 is an internal part of a logical volume; \
          there are: fast (589824 bytes)
          """)
    }

    /// The images of a raid0 with metadata volumes, one of them in two segments, the
    /// first of which lies behind the second.
    @Test func raid0WithMetadataVolumes() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      let images = [
        VolumeText.segments("striped", ["pv0 20", "pv0 5"], extents: 2),
        VolumeText.segments("striped", ["pv1 9"], extents: 4),
      ]
      var volumes = [
        VolumeText.volume(
          "fast",
          VolumeText.segment(
            "raid0_meta", extents: 0..<8,
            """
            stripe_count = 2
            stripe_size = 8
            raids = ["fast_rmeta_0", "fast_rimage_0", "fast_rmeta_1", "fast_rimage_1"]
            """))
      ]
      for (index, image) in images.enumerated() {
        volumes.append(VolumeText.volume("fast_rimage_\(index)", isVisible: false, image))
        volumes.append(
          VolumeText.volume(
            "fast_rmeta_\(index)", isVisible: false,
            VolumeText.segments("striped", ["pv\(index) 40"], extents: 1)))
      }
      try disks.restore(volumes: volumes)
      let reported = try ReportedVolumes(disks)
      #expect(reported.segmentCount("fast_rimage_0") == 2)
      try expectConformance(of: disks.layer("fast"), to: reported.bytes(of: "fast"))
    }

    /// Read through the block device, which takes only whole sectors of 4 KiB.
    @Test func disksWithLargeSectors() throws {
      let disks = try LVMDisks(2, sectorSize: 4096)
      try disks.makeGroup()
      try disks.makeVolume("root", "-i 2 -I 4k -l 8 vg")
      let layers = try disks.devices.map { Layer(try OpenMedium(path: $0)) }
      let group = try LVMDisks.group(on: layers)
      let layer = Layer(try group.map(group.choose(nil)))
      try expectConformance(of: layer, to: ReportedVolumes(disks).bytes(of: "root"))
    }

    /// What people are shown and choose from is what lvs shows.
    @Test func listAndChoice() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      #expect(try disks.refusal("root") == "the volume group vg has no logical volumes")
      try disks.makeVolume("root", "-l 3 vg")
      #expect(try disks.group().choose(nil).name == "root")
      try disks.makeVolume("var", "-l 5 vg")
      let list = "root (196608 bytes), var (327680 bytes)"
      let group = try disks.group()
      #expect(
        throws: StackError(.invalid, "which logical volume of vg is meant? There are: \(list)")
      ) {
        try group.choose(nil)
      }
      #expect(
        try disks.refusal("home") == "there is no logical volume vg/home; there are: \(list)")
      let shown = group.logicalVolumes.map { "\($0.name) \($0.id) \($0.size)" }
      let reported = try disks.lvm(
        "lvs --noheadings --units b --nosuffix -o lv_name,lv_uuid,lv_size vg")
      #expect(
        shown
          == reported.split(separator: "\n").map {
            $0.split(separator: " ").joined(separator: " ")
          })
      let volumes = try disks.volumes()
      for name in [nil, "vg", group.group.id.description] {
        #expect(try FoundVolumeGroup.choose(name, of: volumes).group == group.group)
      }
      #expect(
        throws: StackError(
          .notFound, "there is no volume group other; there are: vg (\(group.group.id))")
      ) { try FoundVolumeGroup.choose("other", of: volumes) }
      #expect(try disks.layer("root").title == "logical volume vg/root")
    }
  }
}
