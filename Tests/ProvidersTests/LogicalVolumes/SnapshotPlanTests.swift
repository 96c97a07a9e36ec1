import FrozenImage
import HostSystem
import Testing

@testable import DataSets
@testable import LogicalVolumeProvider

@Suite struct SnapshotPlanTests {
  private static let mebibyte: UInt64 = 1 << 20

  /// A volume of 1 GiB in extents of 4 MiB.
  private func origin(free: UInt64, pool: String = "") throws -> OriginVolume {
    let row = [
      "vg", "group-uuid", "data", "\(1 << 30)", pool.isEmpty ? "linear" : "thin", pool,
      "\(free * Self.mebibyte)", "\(4 * Self.mebibyte)", "", "", "",
    ]
    return try OriginVolume(row, id: "volume-uuid", device: #require(DeviceNumber("253:1")))
  }

  private func size(free: UInt64, wanted: UInt64? = nil) throws -> UInt64? {
    try SnapshotPlan(of: origin(free: free), size: wanted, hasReflinks: false).size
      .map { $0 / Self.mebibyte }
  }

  @Test("A snapshot gets a quarter of its origin, and leaves a tenth of what is free to others")
  func room() throws {
    #expect(try size(free: 2000) == 256)
    #expect(try size(free: 100) == 88)
    #expect(try size(free: 100, wanted: 97 * Self.mebibyte) == 100)
    #expect(throws: StackError.self) { try size(free: 100, wanted: 101 * Self.mebibyte) }
    #expect(throws: StackError.self) { try size(free: 100, wanted: .max) }
  }

  @Test("Room for less than a hundredth of the origin is refused, unless the user asks for it")
  func tooLittle() throws {
    let error = #expect(throws: StackError.self) {
      try SnapshotPlan(of: origin(free: 8), size: nil, hasReflinks: true)
    }
    let sentence = try #require(error).description
    for word in ["--snapshot-size", "--reflink", "vg/data"] {
      #expect(sentence.contains(word), "\(sentence)")
    }
    #expect(try size(free: 8, wanted: 4 * Self.mebibyte) == 4)
    #expect(throws: StackError.self) { try size(free: 0) }
  }

  @Test("A pool that is full, or of which nothing tells how full it is, gets no snapshot")
  func pool() throws {
    func plan(_ levels: [String]) throws -> SnapshotPlan {
      try SnapshotPlan(of: origin(free: 0, pool: "pool"), size: nil, hasReflinks: false) {
        (_) throws(StackError) in levels
      }
    }
    #expect(try plan(["80.25", "12.00"]).remark.contains("vg/pool, full to 80 %"))
    for levels in [["95.00", "1.00"], ["1.00", "99.99"], ["12,50", "1,00"], ["12.50", ""], []] {
      #expect(throws: StackError.self, "\(levels)") { try plan(levels) }
    }
    #expect(throws: StackError.self) {
      try SnapshotPlan(of: origin(free: 0, pool: "pool"), size: 1, hasReflinks: false)
    }
  }

  @Test("A snapshot grows by a fifth of its size, in whole extents, as far as there is room")
  func growth() {
    func room(_ size: UInt64, _ free: UInt64, _ extent: UInt64 = 4) -> UInt64? {
      SnapshotGrowth.room(beside: size, free: free, extent: extent)
    }
    #expect(room(100, 1000) == 20)
    #expect(room(104, 1000) == 20)
    #expect(room(105, 1000) == 24)
    #expect(room(4, 1000) == 4)
    #expect(room(100, 15) == 12)
    #expect(room(100, 3) == nil)
    #expect(room(100, 100, 0) == nil)
    #expect(room(.max, .max) == 3_689_348_814_741_910_324)
  }

  @Test("A thin snapshot is not active after the next start of the host")
  func words() throws {
    let image = UniqueIdentifier(high: 1, low: 2)
    let thin = try SnapshotPlan(
      of: origin(free: 0, pool: "pool"), size: nil, hasReflinks: false
    ) { (_) throws(StackError) in ["1.00"] }
    #expect(thin.words(for: image).joined(separator: " ").contains("--setactivationskip y"))
    let thick = try SnapshotPlan(of: origin(free: 2000), size: nil, hasReflinks: false)
    let words = thick.words(for: image)
    #expect(words.suffix(3) == ["--size", "\(256 * Self.mebibyte)b", "vg/data"])
    #expect(words.contains("floe-\(image)"))
  }

  @Test(
    "Only a snapshot that floe made is removed",
    arguments: ["root", "floe-", "floe-root", "floe-../data"])
  func foreignSnapshot(name: String) {
    let refused = #expect(throws: StackError.self) {
      try SnapshotRemoval(groupID: "id", group: "vg", name: name).run()
    }
    #expect(refused?.code == .notPermitted)
  }
}
