import Media
import TestTags
import Testing

@testable import BlockMappers
@testable import StackProvider
@testable import VolumeLayers

/// What lies at a medium's path by now need not be what was opened.
@Suite("Paths that something else was put at", .enabled(if: ImageTools.suffice("sfdisk mkfs.ext4")))
struct SwappedPathTests {
  /// - Parameter isShared: whether another host may write the medium.
  @Test(arguments: [false, true])
  func theOpenMediumIsProbed(isShared: Bool) throws {
    let files = try ImageFiles()
    for name in ["disk", "other"] {
      try files.run(
        """
        truncate -s 16M \(name); printf 'label: gpt\\nsize=8MiB, name="\(name)"\\n' \
        | sfdisk -q \(name)
        truncate -s 8M fs; mkfs.ext4 -q -F -L \(name) fs
        dd if=fs of=\(name) bs=1M seek=1 conv=notrunc status=none
        """)
    }
    let layer = Layer(try OpenMedium(path: files.path("disk"), isShared: isShared))
    try files.run("mv other disk")
    let table = try #require(try PartitionTable.find(on: layer))
    #expect(table.partitions.map(\.name) == ["disk"])
    let content = try ContentProbe.find(on: Layer(try table.map(table.partitions[0])))
    #expect(content?.label == "disk")
  }
}
