import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Testing

@testable import MountedTreeProvider
@testable import VolumeLayers

extension MountedTreeTests {
  @Suite("mounted tree: reflink copy") struct ReflinkTests {
    private func freeze(
      _ path: String, as id: UniqueIdentifier = .random()
    ) throws -> ReflinkImage {
      try ReflinkFreezer(path: path).freeze(as: id, progress: { _ in })
    }

    @Test func theCopyIsTheTree() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run(MountedTreeTests.content)
      let id = UniqueIdentifier.random()
      let copy = try freeze(volume.path("data"), as: id)
      #expect(copy.path == volume.path(".floe/\(id)"))
      #expect(try shell("stat -c %a \(volume.path(".floe"))").trimmed == "700")
      let image = try FrozenTree(MountedTree(copy: copy))
      #expect(image.tree.notes == [ReflinkFreezer.consistency])
      #expect(image.tree.validation == .question)
      var comparison = TreeComparison(image, allowing: .copied)
      try comparison.compare(with: volume.path("data"))
      #expect(comparison.nodes > 3020 && comparison.tally.stored > 30)
      #expect(comparison.tally.encoded == 0)
      // Nothing was copied but metadata.
      let original = try FrozenTree(MountedTree(path: volume.path("data"), assumeFrozen: true))
      #expect(try original.extents("large").map(\.source) == image.extents("large").map(\.source))
      var now = TreeComparison(image, allowing: .ownCopy)
      try now.compare(with: copy.path)
      try ReflinkFreezer.thaw(copy)
    }

    /// Somebody else made the directory, or a link, that floe would make copies in.
    @Test(arguments: [
      ("mkdir .floe; chmod 777 .floe", "others than its owner may write to"),
      ("mkdir .floe; chown 4711 .floe; chmod 700 .floe", "belongs to the user 4711"),
      ("mkdir d; chmod 700 d; ln -s d .floe", "is no directory"),
    ])
    func noCopyIsMadeInWhatIsOfOthers(_ making: String, _ sentence: String) throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("mkdir s; echo x > s/f; \(making)")
      let why = reason { _ = try freeze(volume.path("s")) }
      #expect(why.contains(sentence) && why.contains(volume.path(".floe")))
      #expect(try shell("ls -A \(volume.path(".floe"))/").trimmed.isEmpty)
    }

    /// An active swap file shares no blocks: it is there, with its size, and unreadable.
    @Test func aSwapFileCostsNoMoreThanItself() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run(
        """
        mkdir -p s/d; echo data > s/f; setfattr -n user.a -v b s/f
        dd if=/dev/zero of=s/d/swap bs=1M count=8 status=none; chmod 600 s/d/swap
        mkswap -q s/d/swap; setfattr -n user.c -v d s/d/swap; swapon s/d/swap
        """)
      defer { _ = try? shell("swapoff \(volume.path("s/d/swap"))", ignoringFailure: true) }
      let copy = try freeze(volume.path("s"))
      let image = try FrozenTree(MountedTree(copy: copy))
      let reasons = try image.representation.unreadableReasons()
      #expect(reasons.keys.sorted() == ["/d/swap content"], "\(reasons)")
      #expect(reasons.values.first?.contains("Text file busy") == true, "\(reasons)")
      let swap = try image.node("d/swap")
      #expect(try image.representation.attributes(of: swap).size == 8 << 20)
      #expect(try image.extents("d/swap").map(\.source) == [.unreadable])
      // What marks the copy is not shown.
      let names = try image.representation.extendedAttributes(of: swap).map {
        String(decoding: $0.name, as: UTF8.self)
      }
      #expect(names == ["user.c"])
      #expect(try image.extents("f").allSatisfy { $0.source != .unreadable })
      try ReflinkFreezer.thaw(copy)
    }

    @Test func theCopyStaysWhenTheOriginalIsWritten() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("mkdir -p s/d; head -c 3M /dev/urandom > s/f; echo x > s/d/g; cp -a s old")
      let copy = try freeze(volume.path("s"))
      let image = try FrozenTree(MountedTree(copy: copy))
      try volume.run(
        "head -c 2M /dev/urandom | dd of=s/f conv=notrunc status=none; rm -r s/d; sync -f .")
      var comparison = TreeComparison(image, allowing: [.copied, .identity])
      try comparison.compare(with: volume.path("old"))
      #expect(try image.changes(validating: ["f", "d/g"]).isEmpty)
      // Nobody changes it, defragmentation neither.
      let before = try image.extents("f")
      for command in ["rm -rf", "chmod 600", "truncate -s 0", "setfattr -n user.x", "xfs_fsr"] {
        _ = try? shell("\(command) \(copy.path)/f")
      }
      try image.source.liveCheck()
      #expect(try image.changes(validating: ["f", "d/g"]).isEmpty)
      #expect(try FrozenTree(MountedTree(copy: copy)).extents("f") == before)
      // Who takes the flag away is seen, also when it is set again.
      try shell("chattr -i \(copy.path)/f; touch -r \(volume.path("old/f")) \(copy.path)/f")
      #expect(try image.changes(validating: ["f", "d/g"]) == ["f"])
      try shell("chattr +i \(copy.path)/f")
      #expect(try image.changes(validating: ["f", "d/g"]) == ["f"])
      try shell("chattr -i \(copy.path)")
      #expect(reason { try image.source.liveCheck() }.contains("not immutable any more"))
    }

    @Test func thawRemovesTheCopyAndNothingElse() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run(
        """
        mkdir -p s/d outside; echo x > s/f; ln s/f s/d/hard; echo keep > outside/f
        ln -s ../../outside s/link; ln -s /etc s/etc; mkdir s/covered
        """)
      let copy = try freeze(volume.path("s"))
      let other = try freeze(volume.path("s"))
      try shell("mount -t tmpfs none \(copy.path)/covered; : > \(copy.path)/covered/f")
      #expect(
        reason { try ReflinkFreezer.thaw(copy) }.contains("busy")
          || access(copy.path, F_OK) != 0)
      _ = try? shell("umount \(copy.path)/covered", ignoringFailure: true)
      try ReflinkFreezer.thaw(copy)
      #expect(access(copy.path, F_OK) != 0)
      #expect(access(volume.path("outside/f"), F_OK) == 0)
      // The other is still there, and gone is no error.
      _ = try MountedTree(copy: other)
      try ReflinkFreezer.thaw(copy)
      #expect(reason { _ = try MountedTree(copy: copy) }.contains("was deleted"))
      // A directory that somebody put in its place is left alone.
      try shell("mkdir \(copy.path)")
      #expect(reason { try ReflinkFreezer.thaw(copy) }.contains("another directory"))
      try shell("rmdir \(copy.path)")
      try ReflinkFreezer.thaw(other)
      #expect(access(volume.path(".floe"), F_OK) != 0)
      try ReflinkFreezer.thaw(other)
      #expect(try volume.run("cat s/f s/d/hard outside/f") == "x\nx\nkeep\n")
    }

    /// A copy that a crash cut short, at every stage, is refused and removed.
    @Test func whatACrashLeavesIsRemoved() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("mkdir -p s/d/e; echo x > s/f; ln s/f s/d/g; echo y > s/d/e/h; chmod 0 s/d")
      let id = UniqueIdentifier.random()
      let path = try ReflinkFreezer(path: volume.path("s")).plannedCopyPath(for: id)
      let fileSystem = try MountedTree(path: volume.mount, assumeFrozen: true).image.fileSystemID
      let thaw = { try ReflinkFreezer.thaw(copyAt: path, onFileSystem: fileSystem) }
      for stage in ["", "chattr -i @", "chattr -R -i @", "chattr -i @ @/d; rm -r @/d/g"] {
        if !stage.isEmpty {
          let copy = try freeze(volume.path("s"), as: id)
          try shell(
            stage.split(separator: "@", omittingEmptySubsequences: false)
              .joined(separator: path).replacing("rm -r", with: "chattr -i \(path)/d/g; rm -r"))
          #expect(reason { _ = try MountedTree(copy: copy) }.contains("not complete"), "\(stage)")
        }
        try thaw()
        #expect(access(path, F_OK) != 0, "\(stage)")
      }
      for wrong in ["s", "s/d", ".floe", "../x/\(id)"] {
        #expect(
          reason {
            try ReflinkFreezer.thaw(copyAt: volume.path(wrong), onFileSystem: fileSystem)
          }.contains("left alone"), "\(wrong)")
      }
      try volume.run("ln -s s .floe")
      #expect(reason(thaw).contains("cannot remove"))
      try volume.run("rm .floe")
      try shell("umount \(volume.mount)")
      #expect(reason(thaw).contains("is not mounted there"))
    }

    /// When the freeze itself fails, it cleans up.
    @Test func aFreezeThatFailsLeavesNothing() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run(
        """
        mkdir -p s/d; cd s/d; seq 1 3000 | xargs touch; cd ../..; mkdir fill
        for size in 64M 8M 1M 64K 4K; do
          n=0; while fallocate -l $size fill/$size.$n 2>/dev/null; do n=$((n + 1)); done
        done
        """)
      let reason = reason { _ = try freeze(volume.path("s")) }
      #expect(reason.contains("No space left on device"))
      #expect(access(volume.path(".floe"), F_OK) != 0)
    }

    @Test func theWholeFileSystemIsCopiedWithoutItsCopies() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("mkdir d; echo x > d/f")
      let first = try freeze(volume.mount)
      #expect(first.path.hasPrefix(volume.path(".floe/")))
      let second = try freeze(volume.mount)
      #expect(access(second.path + "/d/f", F_OK) == 0 && access(second.path + "/.floe", F_OK) != 0)
      try ReflinkFreezer.thaw(first)
      try ReflinkFreezer.thaw(second)
      #expect(try shell("ls -A \(volume.mount)").trimmed == "d")
    }

    @Test func refusesWhatCannotBeCopiedSo() throws {
      let ext4 = try LoopFileSystem("ext4")
      #expect(
        reason { _ = try ReflinkFreezer(path: ext4.mount) }.contains("only a directory on XFS"))
      let plain = try LoopFileSystem("xfs", format: "-m reflink=0")
      #expect(reason { _ = try ReflinkFreezer(path: plain.mount) }.contains("without reflinks"))
      let still = try LoopFileSystem("xfs")
      try still.remount("ro")
      #expect(reason { _ = try ReflinkFreezer(path: still.mount) }.contains("mounted read-only"))
    }

    /// Files are written, made and deleted all the while: each is of one moment.
    @Test func aBusyTreeIsCopiedFileByFile() throws {
      let volume = try LoopFileSystem("xfs", size: "1G")
      try volume.run(
        """
        mkdir s; cat > write.py <<'END'
        import os, random
        files = [open(f"s/f{i}", "w+b") for i in range(10)]
        for f in files: f.write(bytes([0]) * 300000); f.flush()
        open("ready", "w")
        turn = 0
        while not os.path.exists("stop"):
            turn += 1
            f = random.choice(files)
            os.pwrite(f.fileno(), bytes([turn % 256]) * 300000, 0)
            os.close(os.open(f"s/new{turn}", os.O_CREAT)); os.unlink(f"s/new{turn}")
        END
        python3 write.py >/dev/null 2>&1 & while [ ! -e ready ]; do sleep 0.1; done
        """)
      defer { _ = try? volume.run(": > stop") }
      var all: Set<UInt8> = []
      for _ in 0..<3 {
        let copy = try freeze(volume.path("s"))
        let image = try FrozenTree(MountedTree(copy: copy))
        for index in 0..<10 {
          var values: Set<UInt8> = []
          for extent in try image.extents("f\(index)") {
            guard case .stored(let address) = extent.source else { continue }
            let count = Int(min(extent.end, 300_000) - extent.offset)
            values.formUnion(try image.stack.top.bytes(at: address.offset, count: count))
          }
          #expect(values.count == 1, "f\(index)")
          all.formUnion(values)
        }
        try ReflinkFreezer.thaw(copy)
      }
      #expect(all.count > 3, "nobody wrote meanwhile")
    }
  }
}
