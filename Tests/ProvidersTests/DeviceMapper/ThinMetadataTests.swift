import FrozenImage
import Glibc
import ImageReader
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// Metadata of a thin pool, made by thin_restore from what the test says.
private struct RestoredPool {
  /// Chunks of each device and where they lie in the pool.
  let devices: [UInt64: [UInt64: UInt64]]
  let bytes: [UInt8]
  static let chunkSize: UInt64 = 64 << 10

  init(_ devices: [UInt64: [UInt64: UInt64]], dataChunks: UInt64) throws {
    self.devices = devices
    let directory = try shell("mktemp -d").trimmed
    defer { _ = try? shell("rm -rf \(directory)", ignoringFailure: true) }
    var xml =
      "<superblock uuid=\"\" time=\"1\" transaction=\"2\" version=\"2\" data_block_size=\"128\" "
      + "nr_data_blocks=\"\(dataChunks)\">\n"
    for (number, chunks) in devices.sorted(by: { $0.key < $1.key }) {
      xml +=
        "<device dev_id=\"\(number)\" mapped_blocks=\"\(chunks.count)\" transaction=\"0\" "
        + "creation_time=\"0\" snap_time=\"0\">\n"
      for (chunk, place) in chunks.sorted(by: { $0.key < $1.key }) {
        xml +=
          "<single_mapping origin_block=\"\(chunk)\" data_block=\"\(place)\" time=\"1\"/>\n"
      }
      xml += "</device>\n"
    }
    xml += "</superblock>\n"
    try write(Array(xml.utf8), to: "\(directory)/xml", at: 0)
    try shell(
      "truncate -s 4M \(directory)/metadata && thin_restore -q -i \(directory)/xml "
        + "-o \(directory)/metadata")
    bytes = try contents(of: Array("\(directory)/metadata".utf8))
  }

  static func sample() throws -> RestoredPool {
    var free = Array((0..<UInt64(4000)).shuffled())
    var devices: [UInt64: [UInt64: UInt64]] = [:]
    for device: UInt64 in [1, 2, 7, 300, 0xFF_FFFF] {
      var chunks: [UInt64: UInt64] = [:]
      for chunk in (0..<UInt64(2000)).shuffled().prefix(device == 2 ? 0 : 700) {
        chunks[chunk] = free.removeLast()
      }
      devices[device] = chunks
    }
    return try RestoredPool(devices, dataChunks: 4000)
  }
}

private enum ThinTools {
  static var suffice: Bool {
    let missing = (try? shell("command -v thin_restore"))?.trimmed.isEmpty ?? true
    if !missing || getenv("CI").map({ String(cString: $0) }) == "true" { return true }
    print("SKIPPED: tests of thin pools need thin_restore")
    return false
  }
}

@Suite("Thin pools", .enabled(if: ThinTools.suffice))
struct ThinMetadataTests {
  /// Every device's chunks are where thin_restore put them.
  @Test func findsEveryChunk() throws {
    let pool = try RestoredPool.sample()
    let metadata = ThinMetadata(on: Layer(ArrayMedium(pool.bytes)), title: "pool")
    let superblock = try metadata.superblock()
    #expect(superblock.chunkSize == RestoredPool.chunkSize)
    // What thin_restore counted.
    let used = Set(pool.devices.values.flatMap(\.values)).count
    #expect(superblock.data.used == used && superblock.data.count >= used)
    #expect(superblock.data.percent <= 100)
    #expect(superblock.metadata.used > 0 && superblock.metadata.percent < 100)
    for (device, chunks) in pool.devices {
      let entry = try #require(try metadata.entry(of: device, in: superblock))
      var found: [UInt64: UInt64] = [:]
      for run in try metadata.runs(of: entry) {
        for (index, chunk) in run.chunks.enumerated() { found[chunk] = run.place + UInt64(index) }
      }
      #expect(found == chunks, "device \(device)")
    }
    for device: UInt64 in [3, 299, 301] {
      #expect(try metadata.entry(of: device, in: superblock) == nil)
    }
  }

  /// The whole layer: what was never written reads as zeros.
  @Test func layer() throws {
    let pool = try RestoredPool([4: [0: 3, 1: 4, 2: 5, 7: 1, 9: 0]], dataChunks: 8)
    let size = Int(RestoredPool.chunkSize)
    let data = (0..<8 * size).map { _ in UInt8.random(in: 1...255) }
    let below = Layer(ArrayMedium(pool.bytes + data))
    func part(_ start: Int, _ count: Int) throws -> Layer {
      Layer(
        try LayerMap(
          title: "part", size: UInt64(count), lower: [below],
          runs: [
            .linear(0..<UInt64(count), at: LayerAddress(layer: 0, offset: UInt64(start)))
          ]))
    }
    func runs(device: UInt64, chunkSize: UInt64 = RestoredPool.chunkSize) throws -> ThinRuns {
      try ThinRuns(
        ThinRuns.Description(
          title: "volume", pool: "pool", size: UInt64(10 * size - 4096), device: device,
          chunkSize: chunkSize, data: part(pool.bytes.count, data.count),
          metadata: part(0, pool.bytes.count)))
    }
    var oracle = [UInt8](repeating: 0, count: 10 * size)
    for (chunk, place) in pool.devices[4] ?? [:] {
      oracle.replaceSubrange(
        Int(chunk) * size..<Int(chunk + 1) * size,
        with: data[Int(place) * size..<Int(place + 1) * size])
    }
    try expectConformance(of: Layer(runs(device: 4).map()), to: Array(oracle.dropLast(4096)))
    let fill = try runs(device: 4).fill()
    #expect(fill.data == 5 / 8 * 100 && fill.metadata ?? 0 > 0)
    #expect(throws: StackError.gone("the volume was removed from the pool")) {
      try runs(device: 5)
    }
    #expect(throws: StackError.self) { try runs(device: 4, chunkSize: 131072) }
  }

  /// Each commit of the pool changes the witness. As nothing of the volume moves with it, an
  /// answer carries no map.
  @Test func othersCommit() throws {
    let pool = try RestoredPool([4: [0: 3, 1: 5]], dataChunks: 8)
    let size = 8 * Int(RestoredPool.chunkSize)
    let medium = ArrayMedium([UInt8](repeating: 7, count: size) + pool.bytes)
    let below = Layer(medium)
    @Sendable func part(_ range: Range<Int>) throws -> Layer {
      let run = LayerRun.linear(
        0..<UInt64(range.count), at: LayerAddress(layer: 0, offset: UInt64(range.lowerBound)))
      return Layer(
        try LayerMap(
          title: "part", size: UInt64(range.count), lower: [below], runs: [run]))
    }
    let watch = StackWatch {
      let runs = try ThinRuns(
        ThinRuns.Description(
          title: "volume", pool: "pool", size: 2 * RestoredPool.chunkSize, device: 4,
          chunkSize: RestoredPool.chunkSize, data: part(0..<size),
          metadata: part(size..<Int(medium.size))))
      return FoundStack(try Stack(top: Layer(runs.map())), content: nil, pins: [])
    }
    let before = try #require(try watch.look())
    var bytes = pool.bytes
    bytes.set(UInt32(77), at: 44)
    bytes.sealSuperblock()
    medium.replace(at: size, with: Array(bytes[..<4096]))
    let after = try #require(try watch.look())
    #expect(after.configurationID != before.configurationID)
    let known = MappingState(configurationID: before.configurationID, cursor: [])
    #expect(try watch.volume(of: after, since: known) == nil)
    // A state that nobody remembers.
    let unknown = MappingState(configurationID: ConfigurationID(entries: []), cursor: [])
    #expect(try watch.volume(of: after, since: unknown)?.map == after.stack.storeMap())
  }

  /// A pool that was repaired may have lost mappings, which would read as zeros.
  @Test func aRepairedPoolIsAnother() throws {
    func pins(_ chunks: [UInt64: UInt64]) throws -> [String] {
      let pool = try RestoredPool([4: chunks], dataChunks: 8)
      let size = 8 * RestoredPool.chunkSize
      let below = Layer(ArrayMedium([UInt8](repeating: 7, count: Int(size)) + pool.bytes))
      func part(_ start: UInt64, _ count: UInt64) throws -> Layer {
        let run = LayerRun.linear(0..<count, at: LayerAddress(layer: 0, offset: start))
        return Layer(try LayerMap(title: "part", size: count, lower: [below], runs: [run]))
      }
      let runs = try ThinRuns(
        ThinRuns.Description(
          title: "volume", pool: "pool", size: 4 * RestoredPool.chunkSize, device: 4,
          chunkSize: RestoredPool.chunkSize, data: part(0, size),
          metadata: part(size, UInt64(pool.bytes.count))))
      return try Stack(top: Layer(runs.map())).pins
    }
    let frozen = try pins([0: 3, 1: 5])
    #expect(frozen.count == 1)
    #expect(try pins([0: 3, 1: 5]) == frozen)
    #expect(try pins([0: 3]) != frozen)
    #expect(try pins([0: 3, 1: 6]) != frozen)
  }

  /// A sound checksum, and what it covers is refused by name.
  @Test func refusals() throws {
    let pool = try RestoredPool.sample()
    func refusal(_ change: (inout [UInt8]) -> Void) throws -> String {
      var bytes = pool.bytes
      change(&bytes)
      bytes.sealSuperblock()
      do {
        _ = try ThinMetadata(on: Layer(ArrayMedium(bytes)), title: "thin pool vg/pool").superblock()
        return "not refused"
      } catch {
        return error.description
      }
    }
    #expect(try refusal { _ in } == "not refused")
    #expect(
      try refusal { $0.set(UInt32(1), at: 4) }
        == "the thin pool vg/pool is marked needs_check: repair it first (lvconvert --repair)")
    #expect(try refusal { $0.set(UInt32(16), at: 360) }.contains("incompatible features 10"))
    #expect(try refusal { $0.set(UInt32(3), at: 40) }.contains("of version 3"))
    #expect(try refusal { $0.set(UInt32(64), at: 336) }.contains("chunks of 64 sectors"))
    #expect(try refusal { $0.set(UInt64(0), at: 32) }.contains("no superblock"))
  }

  /// Any damage is found by a checksum; with that made right, nothing traps or goes on for
  /// ever.
  @Test func damage() throws {
    let pool = try RestoredPool.sample()
    let used = pool.bytes.lastIndex { $0 != 0 } ?? 0
    for round in 0..<300 {
      var bytes = pool.bytes
      let block = Int.random(in: 0...used / 4096)
      for _ in 0..<Int.random(in: 1...8) {
        bytes[block * 4096 + .random(in: 4..<(Bool.random() ? 64 : 4096))] = .random(in: 0...255)
      }
      if round % 2 == 1 { bytes.sealBlock(block) }
      let metadata = ThinMetadata(on: Layer(ArrayMedium(bytes)), title: "pool")
      for device in pool.devices.keys {
        guard let superblock = try? metadata.superblock(),
          let entry = try? metadata.entry(of: device, in: superblock),
          let runs = try? metadata.runs(of: entry), round % 2 == 0
        else { continue }
        let count = runs.reduce(0) { $0 + $1.chunks.count }
        #expect(count == pool.devices[device]?.count)
      }
    }
  }
}

extension [UInt8] {
  fileprivate mutating func sealSuperblock() { seal(0, kind: 160_774) }
  fileprivate mutating func sealBlock(_ block: Int) {
    seal(block, kind: block == 0 ? 160_774 : 121_107)
  }

  private mutating func seal(_ block: Int, kind: UInt32) {
    let start = block * 4096
    let state = self[start + 4..<start + 4096].reduce(UInt32.max) { state, byte in
      (0..<8).reduce(state ^ UInt32(byte)) { value, _ in
        value >> 1 ^ (value & 1) &* 0x82F6_3B78
      }
    }
    set(state ^ kind, at: start)
  }
}
