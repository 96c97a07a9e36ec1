import Media
import Testing

@testable import BlockMappers
@testable import StackProvider
@testable import VolumeLayers

extension LVMTests {
  /// Where physical volumes are looked for.
  @Suite("Places of physical volumes") struct Places {
    /// Puts the disks of a group into partitions of disk images, so many into each.
    private func images(_ disks: LVMDisks, _ names: [String]) throws -> [String] {
      let each = disks.images.count / names.count
      return try names.enumerated().map { index, name in
        let image = "\(disks.directory)/\(name)"
        let table = (0..<each).map { "start=\(1 + 8 * $0)MiB, size=8MiB" }
        try shell(
          "truncate -s \(2 + 8 * each)M \(image); printf 'label: gpt\\n\(table.joined(separator: "\\n"))\\n' | sfdisk -q \(image)"
        )
        for part in 0..<each {
          try shell(
            "dd if=\(disks.images[index * each + part]) of=\(image) bs=1M seek=\(1 + 8 * part) conv=notrunc status=none"
          )
        }
        return image
      }
    }

    private func found(
      _ path: String, _ selectors: [String], beside physicalVolumes: [String] = []
    ) throws -> FoundStack {
      try StackFinder(
        StackPlace(
          start: .path(path), selectors: selectors, physicalVolumes: physicalVolumes,
          assumesFrozen: true)
      ).find()
    }

    /// Disks of a group with a volume on all of them.
    private func disks(_ count: Int) throws -> LVMDisks {
      let disks = try LVMDisks(count)
      try disks.makeGroup()
      try disks.makeVolume("root", "-i \(count) -l \(count * 4) vg")
      return disks
    }

    private func expectVolume(_ found: FoundStack, of disks: LVMDisks) throws {
      let layer = found.stack.top
      let bytes = try ReportedVolumes(disks).bytes(of: "root")
      #expect(try layer.bytes(at: 0, count: Int(layer.size)) == bytes)
      _ = try found.stack.media()
      _ = try found.stack.storeMap()
    }

    /// As virtual machines are enlarged: one more partition on the disk that is there.
    @Test func twoPartitionsOfOneImage() throws {
      let disks = try disks(2)
      let image = try images(disks, ["disk.raw"])[0]
      for selectors in [["1", "root"], ["2", "root"], ["1", "vg/root"]] {
        let found = try found(image, selectors)
        try expectVolume(found, of: disks)
        #expect(found.stack.layers.last?.title == image)
        #expect(try found.stack.media().count == 1)
      }
    }

    @Test func partitionsOfSeveralImages() throws {
      let disks = try disks(4)
      let images = try images(disks, ["a.raw", "b.raw"])
      #expect(refusal { _ = try found(images[0], ["1", "root"]) }.contains("is missing"))
      for others in [["\(images[1]):1", "\(images[1]):2"], [images[1]]] {
        let found = try found(images[0], ["2", "root"], beside: others)
        try expectVolume(found, of: disks)
        #expect(try found.stack.media().count == 2)
      }
      // What is there twice in the search is there once.
      let again = try found(
        images[0], ["1", "root"], beside: ["\(images[0]):1", "\(images[1]):1", images[1]])
      try expectVolume(again, of: disks)
      #expect(
        refusal { _ = try found(images[0], ["1", "root"], beside: ["\(images[1]):7"]) }
          .contains("has no partition 7"))
    }

    /// A disk that was a physical volume once and was partitioned since.
    @Test func labelUnderAPartitionTable() throws {
      let disks = try disks(1)
      let image = "\(disks.directory)/disk.raw"
      try shell(
        "cp \(disks.images[0]) \(image); echo 'start=8192,size=4096' | sfdisk -q --wipe never -X dos \(image)"
      )
      #expect(try PhysicalVolume.find(on: Layer(OpenMedium(path: image))) != nil)
      for selectors in [["1"], []] {
        #expect(try found(image, selectors).stack.top.title == "partition 1 (MBR)")
      }
      // Nor is it taken into a group.
      let place = StackPlace(
        start: .volumeGroup("vg"), selectors: ["root"], physicalVolumes: [image],
        assumesFrozen: true)
      #expect(refusal { _ = try StackFinder(place).find() }.contains("no volume group"))
    }

    @Test func twoGroupsOfOneName() throws {
      let disks = try LVMDisks(2)
      for index in 0..<2 {
        try disks.lvm("vgcreate -s 64k vg \(disks.devices[index])", hiding: 1 - index)
        try disks.lvm("lvcreate -y -an -Zn -Wn -n root -l 4 vg", hiding: 1 - index)
      }
      func place(_ group: String) -> StackPlace {
        StackPlace(
          start: .volumeGroup(group), selectors: ["root"], physicalVolumes: disks.images,
          assumesFrozen: true)
      }
      let sentence = refusal { _ = try StackFinder(place("vg")).find() }
      #expect(sentence.contains("Name it by its identifier"), "\(sentence)")
      for (index, volume) in try disks.volumes().enumerated() {
        let group = try #require(volume.areas.first?.group)
        #expect(sentence.contains("\(group.id)"))
        let found = try StackFinder(place("\(group.id)")).find()
        #expect(found.stack.layers.last?.title == disks.images[index])
        // Met on the way up, a group is the one that was met.
        #expect(try self.found(disks.images[index], ["root"]).stack.top.size == 4 * 65536)
      }
    }
  }
}
