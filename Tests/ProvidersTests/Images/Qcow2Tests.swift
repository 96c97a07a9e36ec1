import FrozenImage
import ImageReader
import Media
import Testing

@testable import BlockMappers
@testable import StackProvider
@testable import VolumeLayers

@Suite("qcow2", .enabled(if: ImageTools.suffice("qemu-img qemu-io")))
struct Qcow2Tests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  /// Content with data, zeros and what compresses: 6 MiB and some bytes.
  private func makeSource(_ name: String = "source", count: Int = (6 << 20) + 5 * 512) throws {
    try files.run(
      """
      truncate -s \(count) \(name)
      dd if=/dev/urandom of=\(name) bs=64K seek=3 count=20 conv=notrunc status=none
      yes 'compressible' | dd of=\(name) bs=64K seek=40 count=30 iflag=fullblock conv=notrunc status=none
      dd if=/dev/urandom of=\(name) bs=1000 seek=6280 count=10 conv=notrunc status=none
      truncate -s \(count) \(name)
      """)
  }

  @Test(arguments: [
    "-o compat=0.10", "-o compat=1.1", "-o cluster_size=512", "-o cluster_size=2M",
    "-o extended_l2=on,cluster_size=128k", "-o preallocation=metadata",
    "-c", "-c -o compat=0.10", "-c -o compression_type=zstd", "-c -o cluster_size=512",
    "-c -o cluster_size=2M,compression_type=zstd", "-c -o extended_l2=on",
    "-o lazy_refcounts=on,refcount_bits=1", "-S 0",
  ])
  func asQemuReads(_ options: String) throws {
    try makeSource()
    try files.run("qemu-img convert -f raw -O qcow2 \(options) source disk")
    let oracle = try files.oracle("disk")
    #expect(oracle == (try files.bytes("source")))
    try expectConformance(of: files.disk("disk"), to: oracle)
  }

  @Test(arguments: [
    "-o cluster_size=64k", "-o cluster_size=4k", "-o extended_l2=on", "-o compat=0.10", "-c",
  ])
  func runsAreThoseOfQemu(_ options: String) throws {
    try makeSource()
    try files.run("qemu-img convert -f raw -O qcow2 \(options) source disk")
    let runs = try files.disk("disk").mapped.runs
    let same = runs == (try MapOracle("disk", in: files).runs)
    #expect(same, "\(runs)")
  }

  @Test func neighboursAreOneRun() throws {
    try makeSource()
    try files.run("qemu-img convert -f raw -O qcow2 source disk")
    #expect(try files.disk("disk").mapped.runs.count < 12)
  }

  @Test func writesZerosDiscardsAndSubclusters() throws {
    for options in ["cluster_size=64k", "cluster_size=16k,extended_l2=on", "compat=0.10"] {
      try files.random("base", count: 3 << 20)
      try files.run(
        "rm -f disk; qemu-img create -q -f qcow2 -b base -F raw -o \(options) disk 5M")
      for _ in 0..<60 {
        let start = Int.random(in: 0..<(5 << 20)) & ~511
        let count = min(Int.random(in: 512...200_000) & ~511, (5 << 20) - start)
        let zeros =
          options == "compat=0.10" ? ["write -P 7"] : ["write -z", "write -z -u", "discard"]
        let command = (["write -P 1", "write -P 2", "write -P 3"] + zeros).randomElement() ?? ""
        try files.run("qemu-io -f qcow2 -c '\(command) \(start) \(count)' disk >/dev/null")
      }
      try expectConformance(of: files.disk("disk"), to: files.oracle("disk"))
    }
  }

  @Test func backingChain() throws {
    try makeSource("base", count: 3 << 20)
    try files.run(
      """
      mkdir deep
      qemu-img convert -f raw -O qcow2 -c base deep/compressed
      qemu-img create -q -f qcow2 -b compressed -F qcow2 deep/middle 6M
      qemu-io -f qcow2 -c 'write -P 5 1M 300K' -c 'write -z 1536K 128K' deep/middle >/dev/null
      qemu-img create -q -f qcow2 -b deep/middle -F qcow2 disk 4M
      qemu-io -f qcow2 -c 'write -P 6 1100K 64K' -c 'write -P 8 3500K 4K' disk >/dev/null
      qemu-img create -q -f qcow2 -b \(files.path("disk")) -F qcow2 -o cluster_size=4k top 7M
      """)
    for name in ["deep/middle", "disk", "top"] {
      try expectConformance(of: files.disk(name), to: files.oracle(name))
    }
    #expect(try Stack(top: files.disk("top")).media().count == 4)
  }

  @Test func rawBackingFileOfOddSize() throws {
    try files.random("base", count: 1_000_000)
    try files.run("qemu-img create -q -f qcow2 -b base -F raw disk 2M")
    try expectConformance(of: files.disk("disk"), to: files.oracle("disk"))
  }

  @Test(arguments: ["", ",data_file_raw=on"])
  func dataInAnotherFile(_ raw: String) throws {
    try files.run(
      """
      qemu-img create -q -f qcow2 -o data_file=data.raw\(raw) disk 4M
      qemu-io -f qcow2 -c 'write -P 5 0 300K' -c 'write -z 100K 128K' -c 'write -P 3 3M 64K' disk
      """)
    try expectConformance(of: files.disk("disk"), to: files.oracle("disk"))
  }

  /// A writer need not fill the last cluster of the file; QEMU reads zeros there.
  @Test(arguments: [
    ("-o cluster_size=64k", 64 << 10), ("-o cluster_size=2M", 2 << 20),
    ("-o cluster_size=128k,extended_l2=on", 128 << 10), ("-o compat=0.10", 64 << 10),
  ])
  func fileThatEndsInsideItsLastCluster(_ options: String, cluster: Int) throws {
    try files.random("source", count: 5 << 20)
    try files.run("qemu-img convert -f raw -O qcow2 \(options) source disk")
    let whole = try files.bytes("disk")
    // The guest's last bytes lie last in the file, which they may fill.
    let last = (whole.count - 1) / cluster * cluster
    for kept in [1, 511, 512, 4096, 5000, cluster / 2, cluster - 1] where last + kept < whole.count
    {
      try files.write(Array(whole[..<(last + kept)]), to: "disk")
      let oracle = try files.oracle("disk")
      let source = try files.bytes("source")
      // The cluster's own end may hold nothing of the disk.
      #expect(oracle != source || kept > 5000)
      try expectConformance(of: files.disk("disk"), to: oracle)
    }
    // Without any of it, the file was cut short.
    try files.write(Array(whole[..<last]), to: "disk")
    #expect(refusal { _ = try files.disk("disk") }.contains("but \(files.path("disk")) has"))
  }

  @Test(arguments: [512, 1024, 65536 - 512, 65536 + 512, (1 << 20) + 1536])
  func diskThatEndsInsideACluster(_ size: Int) throws {
    try files.random("source", count: size)
    for options in ["", "-c", "-o extended_l2=on"] {
      try files.run("qemu-img convert -f raw -O qcow2 \(options) source disk")
      try expectConformance(of: files.disk("disk"), to: files.oracle("disk"))
    }
  }

  @Test func internalSnapshotsAreLeftAside() throws {
    try makeSource()
    try files.run(
      """
      qemu-img convert -f raw -O qcow2 source disk; qemu-img snapshot -c then disk
      qemu-io -f qcow2 -c 'write -P 9 256K 1M' disk >/dev/null
      """)
    try expectConformance(of: files.disk("disk"), to: files.oracle("disk"))
  }

  @Test func partitionInACompressedImage() throws {
    try files.run(
      """
      truncate -s 16M source; printf 'label: gpt\\nsize=1MiB\\nsize=8MiB,name=root\\n' | sfdisk -q source
      truncate -s 8M fs; mkfs.ext4 -q fs; dd if=fs of=source bs=1M seek=2 conv=notrunc status=none
      qemu-img convert -f raw -O qcow2 source plain; qemu-img convert -f raw -O qcow2 -c source packed
      """)
    let bytes = try files.bytes("source")
    for name in ["plain", "packed"] {
      let table = try #require(try PartitionTable.find(on: files.disk(name)))
      let root = Layer(try table.map(table.partitions[1]))
      #expect(try ContentProbe.find(on: root)?.type == "ext4")
      try expectConformance(of: root, to: Array(bytes[(2 << 20)..<(10 << 20)]))
    }
  }

  @Test func imageOnAMappedLayer() throws {
    try makeSource()
    try files.run("qemu-img convert -f raw -O qcow2 -o cluster_size=4k source disk")
    let disk = try #require(try Qcow2.find(on: scattered("disk", in: files)))
    try expectConformance(of: Layer(try disk.map()), to: files.bytes("source"))
  }

  @Test func witnessShowsNewTablesAndHeaders() throws {
    for change in [
      "qemu-io -f qcow2 -c 'write 600M 1M' disk", "qemu-img resize -q disk 3G",
      "qemu-img snapshot -c now disk", "qemu-img rebase -u -f qcow2 -b '' disk",
    ] {
      try files.run(
        """
        rm -f disk; truncate -s 1M base; qemu-img create -q -f qcow2 -b base -F raw disk 2G
        qemu-io -f qcow2 -c 'write 0 1M' disk
        """)
      let stack = try Stack(top: files.disk("disk"))
      let before = try stack.configurationID()
      try files.run(change)
      #expect(try stack.configurationID() != before, "\(change)")
    }
  }

  /// The only difference is the file system's UUID: the header, the sizes and the places
  /// are the same.
  @Test(arguments: ["-c", "-c -o compression_type=zstd", "-c -o cluster_size=512", ""])
  func identityTellsImagesOfOneSizeApart(_ options: String) throws {
    try files.run(
      """
      truncate -s 16M a; mkfs.ext4 -q -O ^metadata_csum,^metadata_csum_seed a; cp a b
      tune2fs -U random b >/dev/null
      for n in a b; do qemu-img convert -f raw -O qcow2 \(options) $n $n.qcow2; done
      """)
    let media = try ["a", "b"].map { name in
      let place = StackPlace(
        start: .path(files.path("\(name).qcow2")), selectors: [], physicalVolumes: [],
        assumesFrozen: false)
      return try #require(try StackFinder(place).find().stack.media().first)
    }
    #expect(media[0].id != media[1].id)
    #expect(throws: MediumError.self) {
      try OpenMedium(path: media[1].path).verifyIdentity(of: media[0])
    }
    try OpenMedium(path: media[0].path).verifyIdentity(of: media[0])
    // The header alone is that of many.
    let names = ["a.qcow2", "b.qcow2"]
    let headers = try names.map { Array(try files.bytes($0)[..<60]) }
    #expect(headers[0] == headers[1])
  }

  /// Overlays of one base, as many virtual machines have them; the file system's own
  /// superblock lies in the base.
  @Test func identityTellsOverlaysApart() throws {
    try files.run(
      """
      truncate -s 16M base; mkfs.ext4 -q base
      for n in a b; do qemu-img create -q -f qcow2 -b base -F raw $n
      qemu-io -f qcow2 -c "write -s /dev/urandom 9M 1M" $n >/dev/null; done
      """)
    let media = try ["a", "b"].map { name in
      try #require(try Stack(top: files.disk(name)).media().first { $0.path == files.path(name) })
    }
    #expect(media[0].id != media[1].id)
    #expect(throws: MediumError.self) {
      try OpenMedium(path: media[1].path).verifyIdentity(of: media[0])
    }
  }

  @Test func emptyImageAndNoImage() throws {
    try files.run("qemu-img create -q -f qcow2 disk 0; truncate -s 3 short; truncate -s 1M raw")
    #expect(try files.disk("disk").size == 0)
    #expect(try Qcow2.find(on: files.layer("short")) == nil)
    #expect(try Qcow2.find(on: files.layer("raw")) == nil)
  }

  @Test func thinImageOfOneTebibyte() throws {
    try files.run(
      """
      qemu-img create -q -f qcow2 disk 1T
      qemu-io -f qcow2 -c 'write -P 1 0 64K' -c 'write -P 2 700G 1M' -c 'write -P 3 1099511627264 512' disk
      """)
    let disk = try files.disk("disk")
    #expect(disk.size == 1 << 40)
    #expect(try disk.mapped.runs == MapOracle("disk", in: files).runs)
    #expect(try disk.bytes(at: 700 << 30, count: 3) == [2, 2, 2])
    #expect(try disk.bytes(at: 1 << 40 - 1, count: 1) == [3])
    #expect(try Stack(top: disk).storeMap().extents.values.flatMap { $0 }.count == 3)
  }
}

extension Layer {
  var mapped: LayerMap {
    get throws {
      guard case .mapped(let map) = substance else {
        throw CommandError(description: "\(title) is no map")
      }
      return map
    }
  }
}
