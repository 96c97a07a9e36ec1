import FoundationEssentials
import FrozenImage
import Media
import TestTags
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// What `sfdisk --json` prints.
private struct Oracle: Decodable {
  struct Table: Decodable {
    let label: String
    let sectorsize: UInt64
    let partitions: [Entry]?
  }
  struct Entry: Decodable {
    let node: String
    let start: UInt64
    let size: UInt64
    let type: String
    let uuid: String?
    let name: String?
  }
  let partitiontable: Table

  init(_ name: String, in files: ImageFiles) throws {
    let text = try files.run("sfdisk --json \(name)")
    self = try JSONDecoder().decode(Oracle.self, from: Data(text.utf8))
  }
}

@Suite("Partition tables", .enabled(if: ImageTools.suffice("sfdisk")))
struct PartitionTableTests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  private static let gpt = """
    label: gpt
    size=1MiB, type=uefi, name="EFI System"
    size=3MiB, type=linux, name="root"
    start=10MiB, size=1MiB, type=lvm
    """
  private static let dos = """
    label: dos
    size=1MiB, type=83, bootable
    size=1MiB, type=82
    type=5
    size=1MiB, type=83
    size=2MiB, type=8e
    size=1MiB, type=83
    """

  private func make(_ script: String, _ name: String = "disk", size: Int = 16 << 20) throws {
    try files.random(name, count: size)
    try files.run("dd if=/dev/zero of=\(name) bs=1M count=1 conv=notrunc status=none")
    try files.run("sfdisk -q --wipe never \(name) <<'E'\n\(script)\nE")
  }

  /// Compares what is found on a layer with what sfdisk says of a file.
  private func expectTable(
    _ layer: Layer, asOf name: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let oracle = try Oracle(name, in: files).partitiontable
    let bytes = try files.bytes(name)
    let table = try #require(
      try PartitionTable.find(on: layer), sourceLocation: sourceLocation)
    #expect(table.kind.rawValue == oracle.label, sourceLocation: sourceLocation)
    #expect(table.sectorSize == oracle.sectorsize, sourceLocation: sourceLocation)
    let entries = oracle.partitions ?? []
    #expect(table.partitions.count == entries.count, sourceLocation: sourceLocation)
    for (partition, entry) in zip(table.partitions, entries) {
      #expect(entry.node == files.path(name) || entry.node == "\(name)\(partition.number)")
      #expect(partition.start == entry.start * oracle.sectorsize)
      #expect(partition.size == entry.size * oracle.sectorsize)
      #expect(partition.name == entry.name ?? "")
      if table.kind == .gpt {
        #expect(partition.type.uppercased() == entry.type)
        #expect(partition.uuid.uppercased() == entry.uuid)
      } else {
        #expect(partition.type == "0x" + entry.type)
      }
      guard !partition.isExtended else {
        let reason = refusal { _ = try table.map(partition) }
        #expect(reason.contains("holds logical partitions"))
        continue
      }
      let map = try table.map(partition)
      #expect(map.title.hasPrefix("partition \(partition.number) ("))
      try expectConformance(
        of: Layer(map),
        to: Array(bytes[Int(partition.start)..<Int(partition.start + partition.size)]),
        sourceLocation: sourceLocation)
    }
  }

  @Test func guidTable() throws {
    try make(Self.gpt)
    try expectTable(files.layer("disk"), asOf: "disk")
    let table = try #require(try PartitionTable.find(on: files.layer("disk")))
    #expect(try table.map(table.partitions[1]).title == "partition 2 (GPT, “root”)")
  }

  @Test func tableWithLogicalPartitions() throws {
    try make(Self.dos)
    try expectTable(files.layer("disk"), asOf: "disk")
    let table = try #require(try PartitionTable.find(on: files.layer("disk")))
    #expect(table.partitions.map(\.number) == [1, 2, 3, 5, 6, 7])
    // The master boot record, and a record for each logical partition on the way.
    #expect(try table.map(table.partitions[5]).witness.count == 4)
  }

  @Test func numbersWithGaps() throws {
    try make(Self.gpt)
    try files.run("sfdisk -q --delete disk 2")
    try expectTable(files.layer("disk"), asOf: "disk")
  }

  @Test func tableOfALayerInPieces() throws {
    for (script, name) in [(Self.gpt, "gpt"), (Self.dos, "dos")] {
      try make(script, name)
      try expectTable(scattered(name, in: files), asOf: name)
    }
  }

  @Test(
    .tags(.needsRoot, .needsLoopDevices),
    .enabled(if: ImageTools.suffice("losetup sfdisk", root: true)))
  func sectorsOf4096Bytes() throws {
    try files.run("truncate -s 64M disk")
    let device = try files.run("losetup -b 4096 -f --show disk").trimmed
    defer { _ = try? shell("losetup -d \(device)", ignoringFailure: true) }
    for script in [Self.gpt, Self.dos] {
      try files.run(
        "dd if=/dev/urandom of=\(device) bs=1M seek=1 count=14 status=none; sfdisk -q --no-reread --no-tell-kernel --wipe always \(device) <<'E'\n\(script)\nE"
      )
      try files.run("sync \(device)")
      let json = try files.run("sfdisk --json \(device)")
      let oracle = try JSONDecoder().decode(Oracle.self, from: Data(json.utf8)).partitiontable
      let bytes = try files.bytes("disk")
      // The device tells its sectors; a file does not, but its GPT does.
      var layers = [Layer(try OpenMedium(path: device))]
      if oracle.label == "gpt" { layers.append(try files.layer("disk")) }
      for layer in layers {
        let table = try #require(try PartitionTable.find(on: layer))
        #expect(table.sectorSize == 4096)
        #expect(
          table.partitions.map(\.start) == oracle.partitions?.map { $0.start * 4096 })
        for partition in table.partitions where !partition.isExtended {
          try expectConformance(
            of: Layer(try table.map(partition)),
            to: Array(bytes[Int(partition.start)..<Int(partition.start + partition.size)]))
        }
      }
    }
  }

  @Test func movedAndResizedPartitionsShow() throws {
    for (script, changes, victim) in [
      (Self.gpt, ["echo ',2MiB' | sfdisk -q --no-reread -N 2 disk"], 1),
      (Self.gpt, ["echo '+3MiB' | sfdisk -q -N 2 disk"], 1),
      (Self.dos, ["echo ',512K' | sfdisk -q -N 2 disk"], 1),
      (Self.dos, ["sfdisk -q --delete disk 5"], 4),
    ] {
      try make(script)
      let table = try #require(try PartitionTable.find(on: files.layer("disk")))
      let stack = try Stack(top: Layer(try table.map(table.partitions[victim])))
      let before = try stack.configurationID()
      #expect(try stack.configurationID() == before)
      for change in changes { try files.run(change) }
      #expect(try stack.configurationID() != before, "\(changes)")
    }
  }

  @Test func identityTellsDisksApart() throws {
    for script in [Self.gpt, Self.dos] {
      var identities: Set<[UInt8]> = []
      for name in ["one", "two"] {
        try make(script, name)
        let table = try #require(try PartitionTable.find(on: files.layer(name)))
        let stack = try Stack(top: Layer(try table.map(table.partitions[0])))
        identities.insert(try #require(try stack.media().first).identityBytes)
      }
      #expect(identities.count == 2)
    }
  }

  @Test func nothingWhereThereIsNoTable() throws {
    try files.run("truncate -s 1M empty; truncate -s 0 none; truncate -s 700 tiny")
    for name in ["empty", "none", "tiny"] {
      #expect(try PartitionTable.find(on: files.layer(name)) == nil)
    }
    try files.random("noise", count: 1 << 20)
    #expect(try PartitionTable.find(on: files.layer("noise")) == nil)
  }

  @Test func damagedAndCutTables() throws {
    try make(Self.gpt)
    var bytes = try files.bytes("disk")
    bytes[512 + 56] ^= 1
    try files.write(bytes, to: "half")
    #expect(
      refusal { _ = try PartitionTable.find(on: files.layer("half")) }
        .contains("only the copy at its end is intact"))
    bytes[bytes.count - 512 + 56] ^= 1
    try files.write(bytes, to: "none")
    #expect(
      refusal { _ = try PartitionTable.find(on: files.layer("none")) }.contains("no intact GPT"))
    try make(Self.dos)
    try files.write(Array(try files.bytes("disk")[..<(2 << 20)]), to: "cut")
    #expect(
      refusal { _ = try PartitionTable.find(on: files.layer("cut")) }.contains("leads beyond"))
    // Cut behind the records, inside the last partition.
    let whole = try #require(try PartitionTable.find(on: files.layer("disk"))).partitions
    let cut = Int(whole[5].start) + 4096
    try files.write(Array(try files.bytes("disk")[..<cut]), to: "cut")
    let table = try #require(try PartitionTable.find(on: files.layer("cut")))
    #expect(table.partitions == whole)
    #expect(refusal { _ = try table.map(whole[5]) }.contains("has \(cut) bytes"))
  }

  @Test func chainsOfRecordsThatRunInACircle() throws {
    try make(Self.dos)
    let records = try BootRecords(on: files.layer("disk"), sectorSize: 512)
    #expect(records.offsets.count == 4)
    // The last record leads back to the first of the extended partition.
    var bytes = try files.bytes("disk")
    let last = Int(records.offsets[3])
    bytes.replaceSubrange(
      last + 462..<last + 478, with: [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    try files.write(bytes, to: "circle")
    for layer in [try files.layer("circle"), try scattered("circle", in: files)] {
      #expect(try BootRecords(on: layer, sectorSize: 512).offsets == records.offsets)
      _ = try? PartitionTable.find(on: layer)
    }
  }

  @Test func randomDamageIsRefusedOrRead() throws {
    for script in [Self.gpt, Self.dos] {
      try make(script)
      let layer = try files.layer("disk")
      let records = try BootRecords(on: layer, sectorSize: 512).offsets.map(Int.init)
      let areas = script == Self.gpt ? [446..<2048] : records.map { $0 + 446..<$0 + 510 }
      let whole = try areas.map { try layer.bytes(at: UInt64($0.lowerBound), count: $0.count) }
      for _ in 0..<150 {
        for (area, bytes) in zip(areas, whole) {
          var damaged = bytes
          for _ in 0..<Int.random(in: 0...3) {
            damaged[.random(in: 0..<damaged.count)] = .random(in: 0...255)
          }
          try files.overwrite(damaged, of: "disk", at: area.lowerBound)
        }
        do {
          guard let table = try PartitionTable.find(on: layer) else { continue }
          for partition in table.partitions { _ = try? table.map(partition) }
        } catch {
          #expect(!error.description.contains("\n"))
        }
      }
    }
  }
}
