import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// Metadata that lvm2 would not write, on a disk made by hand.
@Suite struct HostileMetadataTests {
  private static let pv0 = "0aaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"

  /// A group "vg" of one volume with 64 extents of 64 KiB, and what it is to hold.
  private static func text(
    _ volumes: String, extentSize: String = "128", seqno: String = "7",
    member: String = "pe_start = 256\npe_count = 64", rest: String = ""
  ) -> String {
    """
    vg {
      id = "1bbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb"
      seqno = \(seqno)
      status = ["RESIZEABLE", "READ", "WRITE"]
      extent_size = \(extentSize)
      physical_volumes {
        pv0 {
          id = "\(pv0)"
          device = "/dev/sdx"
          status = ["ALLOCATABLE"]
          \(member)
        }
      }
      logical_volumes {
        \(volumes)
      }
    }
    contents = "Text Format Volume Group"
    version = 1
    \(rest)
    """
  }

  private static func root(_ stripes: String, _ count: Int = 1, extents: Int = 4) -> String {
    let body = "stripe_count = \(count)\nstripe_size = 128\nstripes = [\(stripes)]"
    return VolumeText.volume("root", VolumeText.segment("striped", extents: 0..<extents, body))
  }

  private func map(_ text: String) throws -> LayerMap {
    let layer = Layer(ArrayMedium(physicalVolume: Self.pv0, text: Array(text.utf8)))
    let volume = try #require(try PhysicalVolume.find(on: layer))
    let group = try FoundVolumeGroup.choose(nil, of: [volume])
    return try group.map(group.choose("root"))
  }

  private func expectRefusal(
    _ text: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try map(text)
      Issue.record("not refused", sourceLocation: sourceLocation)
    } catch {
      #expect("\(error)".contains(reason), "\(error)", sourceLocation: sourceLocation)
    }
  }

  @Test func diskMadeByHand() throws {
    let map = try map(Self.text(Self.root("\"pv0\", 3")))
    #expect(
      map.runs == [.linear(0..<4 << 16, at: LayerAddress(layer: 0, offset: 256 * 512 + 3 << 16))])
  }

  @Test func numbersOutOfRange() {
    expectRefusal(
      Self.text(Self.root("\"pv0\", 61")), "lies beyond the end of pv0 (0aaaaa-")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 4294967295")), "lies beyond the end of pv0 (0aaaaa-")
    expectRefusal(
      Self.text(Self.root("\"pv0\", -1")), "root/segment1/stripes holds no pairs")
    expectRefusal(Self.text(Self.root("\"pv0\", 0", extents: 0)), "extent_count is 0, which is out")
    expectRefusal(Self.text("", extentSize: "0"), "vg/extent_size is 0, which is out of range")
    expectRefusal(Self.text("", seqno: "-1"), "vg/seqno is -1, which is out of range")
    expectRefusal(
      Self.text("", member: "pe_start = 9223372036854775807\npe_count = 1"),
      "pv0/pe_start is 9223372036854775807, which is out of range")
    let large = "pe_start = 256\npe_count = 4294967295"
    expectRefusal(
      Self.text("", extentSize: "4294967295", member: large), "pv0 ends beyond any medium")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0", extents: 4_294_967_295), extentSize: "4294967295"),
      "root is larger than any medium")
    // Inside of what the metadata allow, but beyond the disk.
    expectRefusal(
      Self.text(Self.root("\"pv0\", 63", extents: 4_294_967), member: large),
      "segment1 of the logical volume vg/root lies beyond the end of memory")
  }

  @Test func segmentsThatDoNotFit() {
    expectRefusal(Self.text(Self.root("\"pv0\", 0", 2)), "stripe_count is not the count of its")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0, \"pv0\", 9, \"pv0\", 20", 3)),
      "segment1 does not divide evenly among 3 stripes")
    expectRefusal(Self.text(Self.root("\"pv0\"")), "stripes holds no pairs")
    expectRefusal(
      Self.text(Self.root("\"pv7\", 0")), "lies on a volume that the metadata do not describe")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0, \"pv0\", 9", 2, extents: 4).replacing("128", with: "96")),
      "stripe_size is 96, no power of two")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0, \"pv0\", 9", 2).replacing("128", with: "1024")),
      "has a segment1 whose stripes are cut short")
    let many = Array(repeating: "\"pv0\", 0", count: 512).joined(separator: ",")
    expectRefusal(Self.text(Self.root(many, 512, extents: 512)), "has more than 256 stripes")
    let gap = VolumeText.segments("striped", ["pv0 0", "pv0 9"], extents: 2)
    expectRefusal(
      Self.text(
        VolumeText.volume(
          "root", gap.map { $0.replacing("start_extent = 2", with: "start_extent = 3") })),
      "root has a gap or an overlap at extent 2")
    expectRefusal(
      Self.text(
        VolumeText.volume("root", gap).replacing("segment_count = 2", with: "segment_count = 1")),
      "root/segment_count is not the count of its segments")
  }

  /// Volumes that are made of themselves, or of more layers than anybody has.
  @Test func volumesInVolumes() throws {
    expectRefusal(Self.text(Self.root("\"root\", 0")), "vg/root is made of itself")
    func tower(_ height: Int) -> String {
      let volumes = (1...height).map { level in
        VolumeText.volume(
          "part\(level)", isVisible: false,
          VolumeText.segments(
            "striped", [level == height ? "pv0 5" : "part\(level + 1) 0"], extents: 4))
      }
      return Self.text(Self.root("\"part1\", 0") + volumes.joined())
    }
    let map = try map(tower(2))
    #expect(map.lower.map(\.title) == ["logical volume vg/part1", "memory"])
    let base = try #require(Layer(map).base)
    #expect(base.offset == 256 * 512 + 5 << 16)
    expectRefusal(tower(4), "nests too deep")
    expectRefusal(
      Self.text(
        Self.root("\"part\", 1")
          + VolumeText.volume(
            "part", VolumeText.segments("striped", ["pv0 0"], extents: 4))),
      "segment1 of the logical volume vg/root lies beyond the end of its part part")
  }

  @Test func textOfSomethingElse() {
    expectRefusal("a = 1", "contents is missing")
    expectRefusal(Self.text("").replacing("version = 1", with: "version = 2"), "in version 1")
    expectRefusal(Self.text("", rest: "other { }"), "it describes 2 volume groups")
    expectRefusal(Self.text("", rest: "}"), "line 21: a key is expected")
    expectRefusal(
      Self.text("").replacing("vg {", with: "\"v{g\" {"), "v{g is no name that a volume can have")
    expectRefusal(Self.text("").replacing("1bbbbb", with: "1bbb"), "vg/id is not an identifier")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0")).replacing(
        "\"WRITE\"]\n  extent", with: "\"NEW\"]\n  extent"),
      "has a status that floe does not know: NEW")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0")).replacing("\"WRITE\", ", with: "\"NEW\", "),
      "vg/root has the status NEW, with which floe cannot map it")
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0")).replacing("striped", with: "striped+NEW"),
      "has a segment (segment1) of type striped+NEW, which floe cannot map")
    // A text counts only where it counts the volume that it lies on.
    expectRefusal(
      Self.text(Self.root("\"pv0\", 0")).replacing("0aaaaa", with: "0bbbbb"),
      "no volume group was found")
  }

  /// Every part cut off and every byte changed, with a checksum that is right.
  @Test func changedText() {
    let text = Array(Self.text(Self.root("\"pv0\", 3, \"pv0\", 9", 2)).utf8)
    var refused = 0
    func attempt(_ text: [UInt8]) {
      do {
        _ = try map(String(decoding: text, as: UTF8.self))
      } catch is StackError {
        refused += 1
      } catch {
        Issue.record(error)
      }
    }
    for index in text.indices {
      attempt(Array(text[..<index]))
      for byte in Array("\0\"{}[]=#9-.a\u{7F} ".utf8) {
        var changed = text
        changed[index] = byte
        attempt(changed)
      }
    }
    #expect(refused > text.count * 5)
  }
}
