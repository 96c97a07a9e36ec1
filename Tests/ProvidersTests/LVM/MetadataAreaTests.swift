import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension LVMTests {
  @Suite struct Areas {
    /// A second area at the disk's end holds the same, and has its window too.
    @Test func twoAreasOnAVolume() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup("--pvmetadatacopies 2")
      try disks.makeVolume("root", "-l 7 vg")
      let volume = try #require(try PhysicalVolume.find(on: disks.layers()[0]))
      #expect(volume.areas.count == 2)
      #expect(volume.areas.allSatisfy { $0.group?.sequenceNumber == 2 && !$0.isIgnored })
      #expect(volume.areas[0].offset == 4096)
      let layer = try disks.layer("root")
      #expect(layer.windows(\.witness).map(\.offset) == [512] + volume.areas.map(\.offset))
      try expectConformance(of: layer, to: ReportedVolumes(disks).bytes(of: "root"))
    }

    /// Volumes without any area, or with one that is ignored, show nothing themselves:
    /// the areas in use elsewhere are their witness.
    @Test(arguments: ["--pvmetadatacopies 0", "--metadataignore y"])
    func volumesWithoutMetadata(options: String) throws {
      let disks = try LVMDisks(2)
      try disks.lvm("pvcreate -y \(disks.devices[0])")
      try disks.lvm("pvcreate -y \(options) \(disks.devices[1])")
      try disks.lvm("vgcreate -s 64k vg \(disks.devices.joined(separator: " "))")
      try disks.makeVolume("root", "-l 7 vg \(disks.devices[1])")
      let layer = try disks.layer("root")
      try expectConformance(of: layer, to: ReportedVolumes(disks).bytes(of: "root"))
      let map = try #require(layer.map)
      #expect(map.lower.map(\.title) == [disks.images[1], disks.images[0]])
      let windows = map.witness.map { "\($0.layer):\($0.offset)" }
      #expect(windows == ["1:512", "1:4096", "0:512"])
      // Without the disk that has the metadata there is nothing to go by.
      let alone = try disks.volumes()[1]
      #expect(
        throws: StackError(
          .notFound,
          "\(disks.images[1]) belongs to a volume group whose metadata lie on another physical "
            + "volume, which was not found")
      ) { try FoundVolumeGroup.choose(nil, of: [alone]) }
    }

    /// What pvchange ignores and takes into use again.
    @Test func areaIgnoredLater() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 7 vg \(disks.devices[1])")
      let before = try disks.witness("root")
      try disks.lvm("pvchange --metadataignore y \(disks.devices[1])")
      #expect(try disks.volumes().map { $0.areas.map(\.isIgnored) } == [[false], [true]])
      let ignored = try disks.witness("root")
      #expect(zip(before, ignored).allSatisfy { $0 != $1 })
      // The area that is ignored is left behind by the next commit, and that is no fault.
      try disks.lvm("vgchange --addtag one vg")
      #expect(try disks.group().behind.isEmpty)
      #expect(try disks.witness("root")[1] == ignored[1])
      #expect(try disks.witness("root")[0] != ignored[0])
      try disks.lvm("pvchange --metadataignore n \(disks.devices[1])")
      let group = try disks.group()
      #expect(group.behind.isEmpty)
      #expect(try disks.volumes().map { $0.areas.map(\.isIgnored) } == [[false], [false]])
      try expectConformance(of: disks.layer("root"), to: ReportedVolumes(disks).bytes(of: "root"))
    }

    /// So many commits that the text goes round the ring, and lies across its end.
    @Test func ringOfManyCommits() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup("--dataalignment 64k --metadatasize 32k")
      try disks.makeVolume("root", "-l 7 vg")
      let tags = (0..<20).map { "--addtag a-tag-that-makes-the-text-longer-\($0)" }
      try disks.lvm("vgchange \(tags.joined(separator: " ")) vg")
      var straddling = 0
      var commits: UInt64 = 3
      let expected = try ReportedVolumes(disks).bytes(of: "root")
      while straddling < 2, commits < 200 {
        try disks.lvm("vgchange --\(commits % 2 == 0 ? "del" : "add")tag more vg")
        commits += 1
        let group = try disks.group()
        #expect(group.group.sequenceNumber == commits)
        let header = try contents(of: Array(disks.images[0].utf8))[4096..<4608]
        let (area, offset, size) = Array(header).withUnsafeBytes { bytes in
          (
            bytes.number(at: 32) ?? UInt64(0), bytes.number(at: 40) ?? UInt64(0),
            bytes.number(at: 48) ?? UInt64(0)
          )
        }
        guard offset + size > area else { continue }
        straddling += 1
        try expectConformance(of: disks.layer("root"), to: expected)
      }
      #expect(straddling == 2)
    }

    /// A crash between the commits to two disks: the newest counts, as lvm2 has it, and
    /// the other is named.
    @Test func commitThatReachedOneDisk() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 7 vg \(disks.devices[0])")
      let old = try disks.metadataBytes(of: 1)
      try disks.lvm("lvextend -l +3 vg/root \(disks.devices[1])")
      try write(old, to: disks.images[1], at: 0)
      let group = try disks.group()
      #expect(group.group.sequenceNumber == 3)
      #expect(group.behind.map(\.layer.title) == [disks.images[1]])
      try expectConformance(
        of: disks.layer("root"), to: ReportedVolumes(disks).bytes(of: "root"))
      // lvm2's next commit brings it up to date.
      try disks.lvm("vgchange --addtag one vg")
      #expect(try disks.group().behind.isEmpty)
    }

    /// Two histories with the same sequence number: nobody can tell which is right.
    @Test func metadataThatDiffer() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 7 vg \(disks.devices[0])")
      let old = try (0...1).map { try disks.metadataBytes(of: $0) }
      try disks.lvm("lvextend -l +3 vg/root \(disks.devices[0])")
      let other = try disks.metadataBytes(of: 0)
      for index in 0...1 { try write(old[index], to: disks.images[index], at: 0) }
      try disks.lvm("lvextend -l +3 vg/root \(disks.devices[1])")
      try write(other, to: disks.images[0], at: 0)
      #expect(
        try disks.refusal("root") == """
          the metadata of the volume group vg differ from one physical volume to the other, \
          with the same sequence number 3
          """)
    }

    /// A disk that the group dropped while it was away still tells of the group.
    @Test func volumeThatLeftTheGroup() throws {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 7 vg \(disks.devices[0])")
      try disks.lvm("vgreduce --removemissing vg", hiding: 1)
      let group = try disks.group()
      #expect(group.group.members.count == 1)
      #expect(group.behind.isEmpty)
      try expectConformance(
        of: disks.layer("root"), to: ReportedVolumes(disks).bytes(of: "root"))
      // And so does a disk that another group took over meanwhile.
      let vg = try disks.metadataBytes(of: 0)
      try disks.lvm("vgremove -y vg", hiding: 1)
      try disks.lvm("vgcreate other \(disks.devices[0])", hiding: 1)
      let groups = FoundVolumeGroup.groups(of: try disks.volumes())
      #expect(groups.map(\.group.name) == ["other", "vg"])
      try write(vg, to: disks.images[0], at: 0)
      #expect(FoundVolumeGroup.groups(of: try disks.volumes()).count == 1)
    }
  }
}

extension LVMDisks {
  func volumes() throws -> [PhysicalVolume] {
    try layers().compactMap { try PhysicalVolume.find(on: $0) }
  }

  /// The first disk megabyte: label and metadata area.
  func metadataBytes(of disk: Int) throws -> [UInt8] {
    Array(try contents(of: Array(images[disk].utf8)).prefix(1 << 20))
  }

  /// What the witness of each disk shows, in the disks' order.
  func witness(_ name: String) throws -> [[UInt8]] {
    let stack = try Stack(top: layer(name))
    let state = try stack.configurationID()
    let media = try stack.media()
    return images.map { image in
      media.first { $0.path == image }.flatMap { state[$0.id] } ?? []
    }
  }
}

extension Layer {
  var map: LayerMap? {
    if case .mapped(let map) = substance { map } else { nil }
  }

  func windows(_ path: KeyPath<LayerMap, [ProbeWindow]>) -> [ProbeWindow] {
    map?[keyPath: path] ?? []
  }
}
