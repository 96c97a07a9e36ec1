import ImageReader
import TestTags
import Testing

@testable import StackProvider
@testable import VolumeLayers

/// Partitions as the kernel shows them, against the table on the disk.
@Suite(
  "Partition devices", .tags(.needsRoot, .needsLoopDevices), .serialized,
  .enabled(if: ImageTools.suffice("losetup sfdisk partx", root: true)))
struct KernelPartitionTests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  /// A disk with a table, whose partitions the kernel shows; every block tells where it is.
  private final class Disk {
    let device: String

    init(_ script: String, sectorSize: Int, in files: ImageFiles) throws {
      try files.run(
        "python3 -c \"import sys; [sys.stdout.buffer.write(b'%511d\\n' % n) for n in range(131072)]\" >disk"
      )
      device = try files.run("losetup -f --show -b \(sectorSize) disk").trimmed
      try files.run(
        """
        dd if=/dev/zero of=\(device) bs=1M count=1 status=none
        sfdisk -q --no-reread --no-tell-kernel --wipe never \(device) <<'E'
        \(script)
        E
        blockdev --flushbufs \(device); partx -u \(device)
        for n in 1 2; do for i in $(seq 50); do [ -b \(device)p$n ] || sleep 0.1; done; done
        """)
    }

    deinit {
      _ = try? shell("partx -d \(device); losetup -d \(device)", ignoringFailure: true)
    }
  }

  private func found(_ path: String) throws -> FoundStack {
    try StackFinder(
      StackPlace(start: .path(path), selectors: [], physicalVolumes: [], assumesFrozen: true)
    ).find()
  }

  /// The table was sorted behind the kernel's back.
  @Test func renumbered() throws {
    let disk = try Disk(
      "label: gpt\nstart=81920,size=8192\nstart=20480,size=8192", sectorSize: 512, in: files)
    try files.run(
      "sfdisk -q --no-reread --no-tell-kernel -r \(disk.device); blockdev --flushbufs \(disk.device)"
    )
    for (number, other) in [(1, 2), (2, 1)] {
      let path = "\(disk.device)p\(number)"
      let found = try found(path)
      #expect(
        try found.stack.top.bytes(at: 0, count: 4 << 20) == contents(of: Array(path.utf8)))
      #expect(found.notes.contains { $0.contains("is partition \(other) in the table") })
    }
    // A partition that the table no longer has.
    try files.run(
      "sfdisk -q --no-reread --no-tell-kernel --delete \(disk.device) 1; blockdev --flushbufs \(disk.device)"
    )
    let sentence = refusal { _ = try found("\(disk.device)p2") }
    #expect(sentence.contains("partx -u \(disk.device)"), "\(sentence)")
  }

  @Test(arguments: ["gpt", "dos"], [512, 4096])
  func sectors(label: String, size: Int) throws {
    let disk = try Disk(
      "label: \(label)\nstart=2048,size=256\nstart=4096,size=512", sectorSize: size, in: files)
    for number in 1...2 {
      let path = "\(disk.device)p\(number)"
      let layer = try found(path).stack.top
      let chosen = StackPlace(
        start: .path(disk.device), selectors: ["\(number)"], physicalVolumes: [],
        assumesFrozen: true)
      let other = try StackFinder(chosen).find().stack.top
      #expect(other.base?.offset == layer.base?.offset && other.size == layer.size)
      #expect(layer.base?.medium.path == files.path("disk"))
      #expect(
        try layer.bytes(at: 0, count: Int(layer.size)) == contents(of: Array(path.utf8)))
    }
    // The file alone does not tell what a DOS table counts.
    let file = StackPlace(
      start: .path(files.path("disk")), selectors: ["2"], physicalVolumes: [], assumesFrozen: true)
    if label == "dos", size == 4096 {
      #expect(refusal { _ = try StackFinder(file).find() }.contains("freeze \(disk.device)"))
    } else {
      #expect(try StackFinder(file).find().stack.top.base?.offset == UInt64(4096 * size))
    }
  }
}

/// What a partition is called on the command line.
@Suite("Names of partitions", .enabled(if: ImageTools.suffice("sfdisk")))
struct PartitionNameTests {
  let files: ImageFiles

  init() throws {
    files = try ImageFiles()
    // The first is named as the second is numbered.
    try files.run(
      """
      truncate -s 16M disk; sfdisk -q disk <<'E'
      label: gpt
      size=1MiB, name="2"
      size=1MiB, name="same"
      size=1MiB, name="same"
      size=1MiB, name="a:b"
      size=1MiB, name="9"
      E
      """)
  }

  private func title(_ selectors: String...) throws -> String {
    try StackFinder(
      StackPlace(
        start: .path(files.path("disk")), selectors: selectors, physicalVolumes: [],
        assumesFrozen: true)
    ).find().stack.top.title
  }

  @Test func numbersAreNumbers() throws {
    for number in 1...5 {
      #expect(try title("\(number)").hasPrefix("partition \(number) "))
    }
    #expect(refusal { _ = try title("9") }.contains("has no partition 9"))
  }

  @Test func namesWithColonsAndTwins() throws {
    #expect(try title("a", "b").hasPrefix("partition 4 "))
    let sentence = refusal { _ = try title("same") }
    #expect(sentence.contains("take the number: 2 “same” (1048576 bytes), 3 “same”"))
    #expect(refusal { _ = try title("a") }.contains("has no partition a"))
    #expect(refusal { _ = try title("a", "b", "c") }.contains("there is no “c”"))
  }
}
