import FrozenImage

@testable import BlockMappers
@testable import VolumeLayers

/// What dm-raid writes into the metadata volume of a leg (drivers/md/dm-raid.c), as a guest's
/// kernel did for the same command of lvm2.
struct WrittenSuperblock {
  var members: UInt32
  var place: UInt32
  var level: UInt32
  var layout: UInt32 = 0
  var stripeSectors: UInt32 = 0
  var events: UInt64 = 0x13
  var failed: UInt64 = 0
  var recovered: UInt64 = .max
  var synced: UInt64 = .max
  var features: UInt32 = 1
  var flags: UInt32 = 0
  var dataOffset: UInt64 = 0
  var newLayout: UInt32?

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    func put<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
    put(UInt32(0x6452_6D44))
    put(features)
    put(members)
    put(place)
    put(events)
    put(failed)
    put(recovered)
    put(synced)
    put(level)
    put(layout)
    put(stripeSectors)
    put(flags)
    put(UInt64.max)
    put(level)
    put(newLayout ?? layout)
    put(stripeSectors)
    put(UInt32(0))
    put(UInt64(0x6000))
    put(dataOffset)
    put(dataOffset)
    put(UInt64(0x3000))
    return bytes + [UInt8](repeating: 0, count: 512 - bytes.count)
  }
}

extension LVMDisks {
  /// Commits a raid, as lvm2 writes its text, and writes the superblocks that the kernel would:
  /// one leg on each disk, in four extents.
  ///
  /// - Parameters:
  ///   - type: lvm2's.
  ///   - extents: of the volume.
  ///   - lost: a leg of which nothing is left, as `vgreduce --removemissing` does it.
  ///   - change: of a leg's superblock; `false` to leave it away.
  func makeRaid(
    _ type: String, extents: Int = 4, status: [String] = ["READ", "WRITE"],
    body: String = "region_size = 4096", leg: [String: [String]] = [:], lost: Int? = nil,
    _ superblock: WrittenSuperblock,
    change: (inout WrittenSuperblock) -> Bool = { _ in true }
  ) throws {
    let places = 0..<Int(superblock.members)
    let names = places.map { "\"root_rmeta_\($0)\", \"root_rimage_\($0)\"" }
    let raid = VolumeText.segment(
      type, extents: 0..<extents,
      """
      device_count = \(places.count)
      \(body)
      raids = [\(names.joined(separator: ", "))]
      """)
    try restore(
      volumes: [VolumeText.volume("root", status: status, raid)]
        + places.flatMap { place in
          [("root_rmeta_\(place)", 10, 1), ("root_rimage_\(place)", 20, 4)].map {
            name, extent, count in
            VolumeText.volume(
              name, isVisible: false, status: leg[name] ?? ["READ", "WRITE"],
              place == lost
                ? [VolumeText.segment("error", extents: 0..<count, "")]
                : VolumeText.segments("striped", ["pv\(place) \(extent)"], extents: count))
          }
        })
    try writeSuperblocks(superblock, change: change)
  }

  func writeSuperblocks(
    _ superblock: WrittenSuperblock, change: (inout WrittenSuperblock) -> Bool = { _ in true }
  ) throws {
    for place in 0..<superblock.members {
      var own = superblock
      own.place = place
      let bytes = change(&own) ? own.bytes : [UInt8](repeating: 0, count: 512)
      // A group's first extent begins at 1 MiB.
      try write(bytes, to: images[Int(place)], at: 1 << 20 + 10 * Self.extentSize)
    }
  }

  /// The disks on which the copies of the volume's only run lie, in their order.
  func disksOfCopies(_ name: String = "root") throws -> [String] {
    let stack = try Stack(top: layer(name))
    let map = try stack.storeMap()
    let media = Dictionary(
      uniqueKeysWithValues: try stack.media().map { ($0.id, $0.path) })
    let run = try map.resolve(StoreAddress(store: Stack.topStore, offset: 0), length: 4096)
    guard run.count == 1, run[0].copyState == .inSync else { return ["not in sync"] }
    return run[0].copies.map { copy in
      images.firstIndex(of: media[copy.medium] ?? "").map { "disk \($0)" } ?? "?"
    }
  }
}
