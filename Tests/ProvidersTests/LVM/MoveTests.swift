import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

extension LVMTests {
  /// What pvmove commits while it is at work.
  @Suite struct Moves {
    /// A volume of two segments, of which pvmove has copied so many extents.
    private func disks(moved: [Int]) throws -> LVMDisks {
      let disks = try LVMDisks(2)
      try disks.makeGroup()
      let segments = moved.enumerated().map { index, moved in
        VolumeText.segment(
          "mirror", index + 1, extents: index * 4..<index * 4 + 4,
          """
          mirror_count = 2
          extents_moved = \(moved)
          region_size = 128
          mirrors = ["pv0", \(10 + index * 10), "pv1", \(30 + index * 10)]
          """)
      }
      try disks.restore(volumes: [
        VolumeText.volume(
          "root", status: ["READ", "WRITE", "LOCKED"],
          VolumeText.segments("striped", ["pvmove0 0"], extents: 8)),
        VolumeText.volume(
          "pvmove0", isVisible: false, status: ["READ", "WRITE", "PVMOVE", "LOCKED"], segments),
      ])
      return disks
    }

    /// Reads go on at the old place until a segment is copied as a whole, and then at the new.
    @Test func isReadWhereItIsWhole() throws {
      let disks = try disks(moved: [4, 2])
      let layer = try disks.layer("root")
      // A fresh disk's bytes tell the disk and their place on it.
      for (extent, disk, place) in [(0, 1, 30), (3, 1, 33), (4, 0, 20), (7, 0, 23)] {
        let bytes = try layer.bytes(at: UInt64(extent * LVMDisks.extentSize), count: 8)
        let word = bytes.withUnsafeBytes { $0.number(at: 0, as: UInt64.self) ?? 0 }
        #expect(word >> 56 == UInt64(disk + 1))
        #expect(word & 0xFFFF_FFFF == UInt64(1 << 20 + place * LVMDisks.extentSize))
      }
    }

    @Test func thatHasCopiedMoreThanThereIsIsRefused() throws {
      let disks = try disks(moved: [5, 0])
      #expect(
        try disks.refusal("root")
          == "the logical volume vg/pvmove0 has a segment1 that moves to no one place")
    }
  }
}
