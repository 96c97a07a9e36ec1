import TestTags
import Testing

@testable import BlockMappers
@testable import StackProvider
@testable import VolumeLayers

@Suite(
  "Content of layers",
  .enabled(if: ImageTools.suffice("mkfs.ext4 mkfs.xfs mkswap sfdisk blkid")))
struct ContentProbeTests {
  let files: ImageFiles

  init() throws { files = try ImageFiles() }

  @Test(arguments: [
    ("mkfs.ext4 -q -L tank disk", "16M"), ("mkfs.xfs -q -L tank disk", "320M"),
    ("mkswap -q -L tank disk", "16M"),
    ("mkfs.ext2 -q disk", "4M"),
  ])
  func asBlkidSays(_ format: String, size: String) throws {
    try expectContent(format, size)
  }

  /// mkfs.btrfs looks into every loop device, whoever's it is.
  @Test(
    .tags(.needsRoot, .needsLoopDevices), .enabled(if: ImageTools.suffice("mkfs.btrfs", root: true))
  )
  func btrfsAsBlkidSays() throws {
    try expectContent("mkfs.btrfs -q -L tank disk", "128M")
  }

  private func expectContent(_ format: String, _ size: String) throws {
    try files.run("truncate -s \(size) disk; \(format)")
    for layer in [try files.layer("disk"), try scattered("disk", in: files)] {
      let content = try #require(try ContentProbe.find(on: layer))
      for (tag, value) in [
        ("TYPE", content.type), ("UUID", content.uuid), ("LABEL", content.label),
      ] {
        #expect(
          try shell("blkid -p -o value -s \(tag) \(files.path("disk"))", ignoringFailure: true)
            .trimmed == value)
      }
    }
  }

  @Test func contentOfAPartition() throws {
    try files.run(
      """
      truncate -s 16M disk; printf 'label: gpt\\nsize=1MiB\\nsize=8MiB\\n' | sfdisk -q disk
      truncate -s 8M fs; mkfs.ext4 -q -L inside fs
      dd if=fs of=disk bs=1M seek=2 conv=notrunc status=none
      """)
    let table = try #require(try PartitionTable.find(on: files.layer("disk")))
    #expect(try ContentProbe.find(on: Layer(try table.map(table.partitions[0]))) == nil)
    let content = try ContentProbe.find(on: Layer(try table.map(table.partitions[1])))
    #expect(content?.type == "ext4")
    #expect(content?.label == "inside")
  }

  @Test func nothing() throws {
    try files.run("truncate -s 8M disk; truncate -s 0 none")
    #expect(try ContentProbe.find(on: files.layer("disk")) == nil)
    #expect(try ContentProbe.find(on: files.layer("none")) == nil)
  }
}
