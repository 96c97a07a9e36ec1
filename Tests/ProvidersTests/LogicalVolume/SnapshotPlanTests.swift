import FrozenImage
import HostSystem
import Testing

@testable import DataSets
@testable import LogicalVolumeProvider

/// What lvm2 is told to do for a snapshot, and what is refused before.
@Suite struct SnapshotPlanTests {
  private func origin(size: UInt64, free: UInt64, pool: String? = nil) -> OriginVolume {
    OriginVolume(
      group: "vg", groupID: "id", name: "data", size: size, pool: pool, free: free,
      extentSize: 4 << 20, device: DeviceNumber(major: 253, minor: 3))
  }

  private let image = UniqueIdentifier(high: 1, low: 2)

  private func size(
    of origin: OriginVolume, wanted: UInt64? = nil
  ) throws -> UInt64? {
    try SnapshotPlan(of: origin, size: wanted).size
  }

  @Test func aQuarterOfTheOriginUnlessTheGroupHasLess() throws {
    #expect(try size(of: origin(size: 400 << 20, free: 1 << 40)) == 100 << 20)
    // Whole extents, one at least.
    #expect(try size(of: origin(size: 410 << 20, free: 1 << 40)) == 104 << 20)
    #expect(try size(of: origin(size: 4 << 20, free: 1 << 40)) == 4 << 20)
    #expect(try size(of: origin(size: 400 << 20, free: 40 << 20)) == 40 << 20)
    #expect(try size(of: origin(size: 400 << 20, free: 1 << 40), wanted: 5 << 20) == 8 << 20)
  }

  @Test func whatTheGroupHasNotIsRefusedWithWhatToDo() {
    let none = #expect(throws: StackError.self) { try size(of: origin(size: 400 << 20, free: 0)) }
    #expect(none?.code == .noRoom && none?.description.contains("vgextend") == true)
    let few = #expect(throws: StackError.self) {
      try size(of: origin(size: 400 << 20, free: 40 << 20), wanted: 41 << 20)
    }
    #expect(few?.code == .noRoom && few?.description.contains("--snapshot-size") == true)
    let thin = #expect(throws: StackError.self) {
      try size(of: origin(size: 400 << 20, free: 1 << 40, pool: "pool"), wanted: 8 << 20)
    }
    #expect(thin?.code == .invalid && thin?.description.contains("vg/pool") == true)
  }

  @Test func theSnapshotIsReadOnlyActiveAfterARestartAndSaysWhoseItIs() throws {
    let words = try SnapshotPlan(of: origin(size: 400 << 20, free: 1 << 40), size: nil)
      .words(for: image)
    #expect(
      words == [
        "lvcreate", "--yes", "--snapshot", "--permission", "r", "--setactivationskip", "n",
        "--addtag", "floe", "--name", "floe-\(image)", "--size", "104857600b", "vg/data",
      ])
  }

  @Test(arguments: ["root", "floe-", "floe-root", "floe-../data"])
  func onlyASnapshotOfFloesIsRemoved(name: String) {
    let refused = #expect(throws: StackError.self) {
      try SnapshotRemoval(groupID: "id", group: "vg", name: name).run()
    }
    #expect(refused?.code == .notPermitted)
  }
}
