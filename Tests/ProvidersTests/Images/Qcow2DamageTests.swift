import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets
@testable import VolumeLayers

/// Images that are damaged, hostile or ask for what is not supported: refused in one
/// sentence, or read as QEMU reads them.
@Suite("Damaged qcow2", .enabled(if: ImageTools.suffice("qemu-img qemu-io")))
struct Qcow2DamageTests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  private func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }

  /// An image of 4 MiB in clusters of 4 KiB: two L2 tables, data, zeros, compressed data.
  private func make(_ options: String = "cluster_size=4k") throws {
    try files.run(
      """
      rm -f disk; truncate -s 4M source
      dd if=/dev/urandom of=source bs=4K seek=10 count=8 conv=notrunc status=none
      yes text | dd of=source bs=4K seek=600 count=8 iflag=fullblock conv=notrunc status=none
      qemu-img convert -c -f raw -O qcow2 -o \(options) source disk
      qemu-io -f qcow2 -c 'write -P 4 1M 64K' -c 'write -P 4 3M 64K' disk >/dev/null
      """)
  }

  private func refusalOfDisk(sourceLocation: SourceLocation = #_sourceLocation) -> String {
    refusal(sourceLocation: sourceLocation) { _ = try files.disk("disk") }
  }

  @Test func headers() throws {
    // Bytes of the header (QEMU, docs/interop/qcow2), and what the refusal says.
    let damages: [(Int, [UInt8], String)] = [
      (4, bigEndian(UInt32(1)), "version 1"), (4, bigEndian(UInt32(4)), "version 4"),
      (8, bigEndian(UInt64(4096)), "name of its backing file"),
      (20, bigEndian(UInt32(8)), "clusters of 2^8"), (20, bigEndian(UInt32(22)), "2^22"),
      (24, bigEndian(UInt64.max), "a disk of 18446744073709551615 bytes"),
      (24, bigEndian(UInt64(1) << 40), "an L1 table of 2 entries"),
      (32, bigEndian(UInt32(1)), "encrypted (AES)"), (32, bigEndian(UInt32(9)), "(method 9)"),
      (36, bigEndian(UInt32(1)), "an L1 table of 1 entries"),
      (40, bigEndian(UInt64(4097)), "the L1 table at byte 4097"),
      (40, bigEndian(UInt64(1) << 60), "lies outside it"),
      (72, bigEndian(UInt64(1)), "marked as dirty"), (72, bigEndian(UInt64(2)), "as corrupt"),
      (72, bigEndian(UInt64(4)), "in a file that it does not name"),
      (72, bigEndian(UInt64(8)), "compression type"), (72, bigEndian(UInt64(16)), "small clusters"),
      (72, bigEndian(UInt64(1) << 63), "feature bit 63"),
      (100, bigEndian(UInt32(103)), "it is 103 bytes long"),
      (100, bigEndian(UInt32.max), "bytes long"),
      (104, [1], "compression type"), (104, [7], "of type 7"),
      (112, [1, 2, 3, 4] + bigEndian(UInt32.max), "an extension is"),
    ]
    try make()
    let whole = try files.bytes("disk")
    for (place, bytes, reason) in damages {
      try files.overwrite(bytes, of: "disk", at: place)
      let found = refusalOfDisk()
      #expect(found.contains(reason), "\(found)")
      try files.write(whole, to: "disk")
    }
    _ = try files.disk("disk")
  }

  @Test func unknownFeatureIsNamed() throws {
    // QEMU leaves the name table out of a small first cluster.
    try make("cluster_size=64k")
    var bytes = try files.bytes("disk")
    // The first entry of the feature name table: bit 0, "dirty bit".
    let name = Array("dirty bit".utf8)
    let entry = try #require(
      bytes.indices.first { bytes[$0...].starts(with: name) && bytes[$0 - 1] == 0 })
    bytes.replaceSubrange(entry - 1..<entry + 9, with: [5] + Array("time\u{1B}loop".utf8))
    bytes[79] = 1 << 5
    try files.write(bytes, to: "disk")
    #expect(refusalOfDisk().contains("feature bit 5 (“timeloop”)"))
  }

  @Test func tables() throws {
    try make()
    let whole = try files.bytes("disk")
    let header = try #require(try Qcow2.find(on: files.layer("disk"))).header
    let table = Int(header.tableOffset)
    let first = try header.activeTable(of: files.layer("disk"))[0] & ClusterMap.offsetMask
    let past = UInt64(whole.count) + 4096 & ~4095
    let damages: [(Int, UInt64, String)] = [
      (table, past, "the L2 table for byte 0 lies at byte \(past)"),
      (table, first + 512, "where none can be"), (table + 8, first, "is used twice"),
      (Int(first), past, "the cluster for byte 0 lies at byte \(past)"),
      (Int(first), first + 512, "lies at byte \(first + 512)"),
      (Int(first), 1 << 62 | 1 << 50, "the compressed cluster for byte 0 lies"),
    ]
    for (place, entry, reason) in damages {
      try files.overwrite(bigEndian(entry), of: "disk", at: place)
      let found = refusalOfDisk()
      #expect(found.contains(reason), "\(found)")
      try files.write(whole, to: "disk")
    }
    // Compressed data that is none: found when it is read.
    let text = 600 * 4096
    let disk = try files.disk("disk")
    _ = try disk.bytes(at: UInt64(text), count: 10)
    let clusters = try #require(try disk.mapped.decoder as? CompressedClusters).clusters
    let packed = try #require(clusters.first { $0.index == 600 })
    try files.overwrite([0xFF, 0xFF, 0xFF], of: "disk", at: Int(packed.offset))
    #expect(refusal { _ = try disk.bytes(at: UInt64(text), count: 10) }.contains("is damaged"))
  }

  @Test func zeroClustersOfVersion2() throws {
    try make("cluster_size=4k,compat=0.10")
    let header = try #require(try Qcow2.find(on: files.layer("disk"))).header
    let first = try header.activeTable(of: files.layer("disk"))[0] & ClusterMap.offsetMask
    try files.overwrite(bigEndian(UInt64(1)), of: "disk", at: Int(first))
    #expect(refusalOfDisk().contains("which version 2 does not know"))
  }

  @Test func subclustersThatContradictThemselves() throws {
    try make("cluster_size=16k,extended_l2=on")
    let header = try #require(try Qcow2.find(on: files.layer("disk"))).header
    let first = try header.activeTable(of: files.layer("disk"))[0] & ClusterMap.offsetMask
    for bitmap in [UInt64(1) << 32 | 1, 1] {
      try files.overwrite(bigEndian(bitmap), of: "disk", at: Int(first) + 8)
      #expect(refusalOfDisk().contains("contradicts itself"))
    }
  }

  @Test func encryptedByQemu() throws {
    // It measures the machine's speed, and gives up when that is busy.
    try files.run(
      """
      for attempt in 1 2 3 4 5 6 7 8 9 10; do
        qemu-img create -q --object secret,id=s,data=pass -f qcow2 \
          -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 disk 1M && exit 0
        sleep 1
      done
      exit 1
      """)
    #expect(refusalOfDisk().contains("encrypted (LUKS)"))
  }

  @Test func backingFiles() throws {
    let damages: [(String, String)] = [
      ("qemu-img rebase -u -f qcow2 -F qcow2 -b disk disk", "runs in a circle"),
      ("qemu-img rebase -u -f qcow2 -F qcow2 -b other disk", "runs in a circle"),
      ("qemu-img rebase -u -f qcow2 -F raw -b nowhere disk", "which cannot be found"),
      ("qemu-img rebase -u -f qcow2 -F vmdk -b base disk", "of format “vmdk”"),
      ("qemu-img rebase -u -f qcow2 -F qcow2 -b base disk", "which it is not"),
      ("qemu-img rebase -u -f qcow2 -F raw -b nbd:localhost:10809 disk", "through “nbd”"),
      ("qemu-img rebase -u -f qcow2 -F raw -b 'json:{}' disk", "through “json”"),
      ("qemu-img rebase -u -f qcow2 -F raw -b . disk", "neither a block device nor"),
    ]
    try files.run("truncate -s 1M base; qemu-img create -q -f qcow2 disk 1M")
    try files.run("qemu-img create -q -f qcow2 -F qcow2 -b disk other")
    for (change, reason) in damages {
      try files.run(change)
      let found = refusalOfDisk()
      #expect(found.contains(reason), "\(found)")
    }
    try files.run("qemu-img rebase -u -f qcow2 -F raw -b file:base disk")
    _ = try files.disk("disk")
    // The extension with the format made one of an unknown type.
    let bytes = try files.bytes("disk")
    let place = try #require(
      bytes.indices.first { bytes[$0...].starts(with: [0xE2, 0x79, 0x2A, 0xCA] as [UInt8]) })
    try files.overwrite([1, 2, 3, 4], of: "disk", at: place)
    #expect(refusalOfDisk().contains("does not say which format"))
  }

  @Test func chainThatIsTooLong() throws {
    try files.run("qemu-img create -q -f qcow2 disk1 1M")
    for index in 2...13 {
      try files.run(
        "qemu-img create -q -f qcow2 -F qcow2 -b disk\(index - 1) disk\(index)")
    }
    #expect(try Stack(top: files.disk("disk12")).layers.count == 24)
    #expect(refusal { _ = try files.disk("disk13") }.contains("longer than 12"))
  }

  /// An L1 table that is as large as QEMU allows, in a sparse file, all of whose entries
  /// lead to an L2 table, so that all of those would be read; and one that is not in the
  /// file at all.
  @Test func boundlessTables() throws {
    try files.run("qemu-img create -q -f qcow2 disk 1M; truncate -s 64M disk")
    let count = UInt32(4 << 20)
    try files.overwrite(bigEndian(UInt64(count) << 29), of: "disk", at: 24)
    try files.overwrite(bigEndian(count), of: "disk", at: 36)
    try files.overwrite(bigEndian(UInt64(8 << 20)), of: "disk", at: 40)
    let entry = bigEndian(UInt64(48 << 20))
    try files.overwrite(
      Array([[UInt8]](repeating: entry, count: Int(count)).joined()), of: "disk", at: 8 << 20)
    #expect(refusalOfDisk().contains("has 4194304 L2 tables of 65536 bytes, more than"))
    try files.overwrite(bigEndian(UInt64(60 << 20)), of: "disk", at: 40)
    #expect(refusalOfDisk().contains("lies outside it"))
    try files.overwrite(bigEndian(UInt64(Int64.max)), of: "disk", at: 24)
    try files.overwrite(bigEndian(UInt32.max), of: "disk", at: 36)
    #expect(refusalOfDisk().contains("an L1 table of 4294967295 entries"))
  }

  /// Compares with QEMU where both read the image; where one refuses, nothing is said.
  private func expectSentenceOrQemusBytes(_ what: String) throws -> Bool {
    let disk: Layer
    do {
      guard let image = try Qcow2.find(on: files.layer("disk")) else { return false }
      disk = Layer(try image.map())
    } catch {
      #expect(error is StackError, "\(what): \(error)")
      return false
    }
    guard disk.size <= 64 << 20 else { return false }
    guard
      let found = try? disk.bytes(at: 0, count: Int(disk.size)),
      (try? files.run("timeout 20 qemu-img convert -f qcow2 -O raw disk oracle.raw 2>&1")) != nil
    else { return false }
    #expect(try found == files.bytes("oracle.raw"), "\(what)")
    return true
  }

  @Test func cutImages() throws {
    try make()
    let whole = try files.bytes("disk")
    for count in [0, 3, 4, 8, 50, 71, 72, 103, 104, 111, 112, 200, 511, 512, 4095, 4096]
      + (0..<30).map({ _ in Int.random(in: 4097..<whole.count) })
    {
      try files.write(Array(whole[..<count]), to: "disk")
      _ = try expectSentenceOrQemusBytes("cut to \(count)")
    }
  }

  @Test(arguments: ["cluster_size=4k", "cluster_size=16k,extended_l2=on"])
  func randomDamage(_ options: String) throws {
    try make(options)
    let whole = try files.bytes("disk")
    let header = try #require(try Qcow2.find(on: files.layer("disk"))).header
    let tables = try header.activeTable(of: files.layer("disk")).map {
      Int($0 & ClusterMap.offsetMask)
    }
    var compared = 0
    for _ in 0..<80 {
      var damaged = whole
      var places: [Int] = []
      for _ in 0..<Int.random(in: 1...4) {
        let area =
          [0..<500, Int(header.tableOffset)..<Int(header.tableOffset) + 16]
          + tables.filter { $0 > 0 }.map { $0..<$0 + Int(header.clusterSize) }
        let place = area.randomElement().map { Int.random(in: $0) } ?? 0
        damaged[place] =
          Bool.random() ? .random(in: 0...255) : damaged[place] ^ 1 << UInt8.random(in: 0...7)
        places.append(place)
      }
      try files.write(damaged, to: "disk")
      if try expectSentenceOrQemusBytes("\(options): \(places) = \(places.map { damaged[$0] })") {
        compared += 1
      }
    }
    #expect(compared > 3)
  }
}
