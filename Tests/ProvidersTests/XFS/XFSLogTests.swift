import FrozenImage
import Glibc
import Media
import TestTags
import Testing

@testable import DataSets
@testable import FileTrees
@testable import LogicalVolumeProvider
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

    /// The place of the log's newest record in a disk's bytes, and of its data.
    private func newestRecord(_ disk: [UInt8], in log: Range<Int>) throws -> (Int, data: Int) {
      let headers = stride(from: log.lowerBound, to: log.upperBound, by: XFSLog.block).filter {
        disk.bigEndian(at: $0) == XFSLogRecord.magic
      }
      // By the number that each has: its turn, and its block.
      let newest = headers.max { one, other in
        (disk.bigEndian(at: one + 16), disk.bigEndian(at: one + 20))
          < (disk.bigEndian(at: other + 16), disk.bigEndian(at: other + 20))
      }
      let place = try #require(newest)
      let header = try #require(
        XFSLogRecord.Header(
          disk[place..<place + XFSLog.block],
          at: UInt64((place - log.lowerBound) / XFSLog.block)))
      return (place, place + Int(header.headers) * XFSLog.block)
    }

    @Test("A record whose checksum does not hold tells nothing, whatever it seems to say")
    func checksum() throws {
      let system = try LoopFileSystem("xfs", size: Self.size)
      let disk = "\(system.directory)/disk"
      try system.run(
        "echo a >a; xfs_freeze -f .; cp --sparse=always \(disk) \(disk).copy; xfs_freeze -u .")
      let copy = "\(disk).copy"
      #expect(try holdsNothing(copy))
      let bytes = try contents(of: Array(copy.utf8))
      let superblock = try XFSSuperblock(Array(bytes[..<XFSSuperblock.length]), title: "a disk")
      let start = Int(superblock.log.start)
      let (place, data) = try newestRecord(
        bytes, in: start..<start + Int(superblock.log.blocks) * XFSLog.block)
      // The time of the change, its sum, and bytes of the superblock that it brings.
      for offset in [place + 33, data + 100, data + 200, data + 300, data + 400] {
        try write([~bytes[offset]], to: copy, at: offset)
        #expect(try !holdsNothing(copy), "at \(offset - place)")
        try write([bytes[offset]], to: copy, at: offset)
      }
      #expect(try holdsNothing(copy))
    }

    @Test("One that was mounted after a crash, and not changed, is in its place when it is frozen")
    func mountedAfterACrash() throws {
      let system = try LoopFileSystem("xfs", size: Self.size)
      let disk = "\(system.directory)/disk"
      try system.run(
        "mkdir d; (cd d; seq 100 | xargs touch; xfs_io -c fsync 1); "
          + "cp --sparse=always \(disk) \(disk).crashed")
      let mount = "\(system.directory)/crashed"
      try shell("mkdir \(mount); mount -o loop,nouuid \(disk).crashed \(mount)")
      defer { _ = try? shell("umount -l \(mount)", ignoringFailure: true) }
      func frozen() throws -> Bool {
        try shell(
          "xfs_freeze -f \(mount); cp --sparse=always \(disk).crashed \(disk).frozen; "
            + "xfs_freeze -u \(mount)")
        return try holdsNothing("\(disk).frozen")
      }
      // What was replayed stands in the log still.
      #expect(try !frozen())
      let directory = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      defer { close(directory) }
      MountedVolume.beginRecord(in: directory)
      #expect(try frozen())
      #expect(try shell("ls -A \(mount)").trimmed == "d")
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
