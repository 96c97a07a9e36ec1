import FrozenImage
import Media
import TestTags
import Testing

@testable import DataSets
@testable import FileTrees
@testable import VolumeLayers

extension MountedTreeTests {
  /// What the real kernel leaves in a log when the file system is frozen, and when it is not.
  @Suite("XFS's log") struct XFSLogTests {
    private static let size = "304M"

    /// Whether the log of a disk, or of a copy of it, holds nothing that is to be replayed.
    private func holdsNothing(_ path: String) throws -> Bool {
      let layer = Layer(try OpenMedium(path: path))
      let superblock = try XFSSuperblock(
        layer.bytes(at: 0, count: XFSSuperblock.length), title: layer.title)
      return try XFSLog(on: layer, at: superblock.log.start, blocks: superblock.log.blocks)
        .holdsNothing()
    }

    @Test(
      "A frozen one holds nothing, also when it went round; one that is in use does",
      arguments: [
        "", "--unsupported -l size=2048b", "-l su=32k", "--unsupported -b size=1024 -l size=8192b",
      ])
    func frozen(format: String) throws {
      let system = try LoopFileSystem("xfs", format: format, size: Self.size)
      let disk = "\(system.directory)/disk"
      func copy(_ script: String) throws -> Bool {
        try system.run(
          "\(script)\ncp --sparse=always \(disk) \(disk).copy; xfs_freeze -u . || true")
        return try holdsNothing("\(disk).copy")
      }
      #expect(try copy("xfs_freeze -f ."))
      for turn in 0..<3 {
        let files = "mkdir d\(turn); (cd d\(turn); seq 4000 | xargs touch); rm -r d\(turn)"
        #expect(
          try copy("\(files); echo \(turn) >kept; sync -f .; xfs_freeze -f ."), "turn \(turn)")
        #expect(try !copy("echo \(turn) >>kept; mkdir new\(turn); xfs_io -c fsync kept"))
      }
      try shell("umount \(system.mount); sync \(disk)")
      #expect(try holdsNothing(disk))
    }

    @Test("Damage anywhere in a log is no proof that it holds nothing")
    func damage() throws {
      let system = try LoopFileSystem("xfs", size: Self.size)
      let disk = "\(system.directory)/disk"
      try system.run(
        "echo a >a; xfs_freeze -f .; cp --sparse=always \(disk) \(disk).copy; xfs_freeze -u .")
      let layer = Layer(try OpenMedium(path: "\(disk).copy"))
      let superblock = try XFSSuperblock(
        layer.bytes(at: 0, count: XFSSuperblock.length), title: layer.title)
      #expect(try holdsNothing("\(disk).copy"))
      // No number of what is read leads out of the log, or to an end that never comes.
      for block in 0..<16 {
        for place in [4, 12, 24, 28, 40, 44, 300, 320] {
          let offset = superblock.log.start + UInt64(block * XFSLog.block + place)
          try shell(
            """
            dd if=\(disk).copy of=\(disk).saved bs=1 skip=\(offset) count=4 status=none
            printf '\\377\\377\\377\\377' |
              dd of=\(disk).copy bs=1 seek=\(offset) conv=notrunc status=none
            """)
          _ = try holdsNothing("\(disk).copy")
          try shell(
            "dd if=\(disk).saved of=\(disk).copy bs=1 seek=\(offset) conv=notrunc status=none")
        }
      }
      // mkfs leaves a record, so zeros are no log that nothing was written to.
      let log = superblock.log
      try shell(
        "dd if=/dev/zero of=\(disk).copy bs=512 seek=\(log.start / 512) count=\(log.blocks) "
          + "conv=notrunc status=none")
      #expect(try !holdsNothing("\(disk).copy"))
      for (start, blocks) in [(UInt64.max, UInt64(64)), (0, .max), (0, 0), (layer.size, 64)] {
        #expect(throws: StackError.self) { try XFSLog(on: layer, at: start, blocks: blocks) }
      }
    }
  }
}
