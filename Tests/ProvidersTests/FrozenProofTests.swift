import BtrfsProvider
import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Testing

/// What an answer proves about the snapshot: dedupe is harmless, a write is not.
extension BtrfsTests {
  @Suite("btrfs still frozen") struct FrozenProofTests {
    private func frozenImage(on volume: LoopVolume) throws -> DescribedImage {
      try shell(
        """
        cd \(volume.mount); btrfs -q subvolume create s
        head -c 1M /dev/urandom > s/a; cat s/a > s/b; sync
        """)
      return try DescribedImage(volume.path("s"))
    }

    @Test func takingTheReadOnlyFlagAwayThaws() throws {
      let volume = try LoopVolume()
      let image = try frozenImage(on: volume)
      try image.source.liveCheck()
      try shell("btrfs property set -f \(image.frozen.snapshotPath) ro false")
      #expect(throws: SourceError.self) { try image.source.liveCheck() }
      #expect(throws: SourceError.self) {
        try image.source.answer(image.question(since: image.volume.state))
      }
    }

    @Test func aWriteThawsAlsoWhenTheFlagIsBack() throws {
      let volume = try LoopVolume()
      let image = try frozenImage(on: volume)
      try shell(
        """
        cd \(image.frozen.snapshotPath); btrfs property set -f . ro false
        printf changed | dd of=a bs=1 seek=5000 conv=notrunc; btrfs property set . ro true; sync -f .
        """)
      do {
        try image.source.liveCheck()
        Issue.record("a write was not seen")
      } catch {
        guard case .thawed(let reason) = error else { throw error }
        #expect(reason.contains("was changed"))
      }
      var byte = [UInt8](repeating: 0, count: 1)
      #expect(throws: SourceError.self) {
        try byte.withUnsafeMutableBytes { try image.source.read(inode: 257, offset: 0, into: $0) }
      }
    }

    @Test func aWriteThatIsInThePageCacheOnlyIsNotRead() throws {
      let volume = try LoopVolume()
      let image = try frozenImage(on: volume)
      let inode = try #require(
        try image.files().first { $0.text == "/a" }.map {
          try image.representation.attributes(of: $0.node).inode
        })
      try shell(
        """
        cd \(image.frozen.snapshotPath); btrfs property set -f . ro false
        printf changed | dd of=a bs=1 seek=5000 conv=notrunc; btrfs property set . ro true
        """)
      var byte = [UInt8](repeating: 0, count: 1)
      #expect(throws: SourceError.self) {
        try byte.withUnsafeMutableBytes { try image.source.read(inode: inode, offset: 0, into: $0) }
      }
      #expect(throws: SourceError.self) { try image.source.liveCheck() }
    }

    @Test func dedupeMovesEverythingAndChangesNothing() throws {
      let volume = try LoopVolume()
      let image = try frozenImage(on: volume)
      let path = image.frozen.snapshotPath
      let before = image.volume.state
      try dedupe("\(path)/a", into: "\(path)/b", bytes: 1 << 20)
      try image.source.liveCheck()
      let answer = try image.source.answer(image.question(since: before))
      #expect(answer.changes == .everything)
      // Once that state is known, nothing more has changed.
      let later = try image.source.answer(image.question(since: answer.state))
      #expect(later.changes != .everything)

      let files = try image.files()
      let b = try #require(files.first { $0.text == "/b" })
      let inode = try image.representation.attributes(of: b.node).inode
      let located = try image.source.answer(
        image.question(since: answer.state, [Portion(inode: inode, range: 0..<(1 << 20))])
      ).located
      let reader = DirectReader(volume, map: image.volume.map, media: image.volume.media)
      defer { reader.close() }
      var bytes: [UInt8] = []
      for told in try #require(located.first).extents where told.inode == inode {
        guard case .stored(let address) = told.extent.source else { continue }
        bytes += try reader.copies(of: address, length: told.extent.length)[0]
      }
      #expect(try bytes == image.contents(of: b))
      var whole = [UInt8](repeating: 0, count: 1 << 20)
      let count = try whole.withUnsafeMutableBytes {
        try image.source.read(inode: inode, offset: 0, into: $0)
      }
      #expect(try count == 1 << 20 && whole == image.contents(of: b))
    }

    /// `FIDEDUPERANGE` (linux/fs.h): _IOWR(0x94, 54, struct file_dedupe_range).
    private func dedupe(_ source: String, into target: String, bytes: UInt64) throws {
      try shell(
        """
        python3 - <<'END'
        import fcntl, os, struct
        a = os.open('\(source)', os.O_RDONLY); b = os.open('\(target)', os.O_RDONLY)
        request = bytearray(struct.pack('=QQHHIqQQiI', 0, \(bytes), 1, 0, 0, b, 0, 0, 0, 0))
        fcntl.ioctl(a, 0xC0189436, request)
        done, status = struct.unpack_from('=Qi', request, 40)
        assert status == 0 and done == \(bytes), (status, done)
        END
        sync -f \(target)
        """)
    }
  }
}
