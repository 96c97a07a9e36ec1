import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import Media
import Testing

@testable import MountedTreeProvider
@testable import VolumeLayers

/// Trees of read-only file systems against what the kernel and the file systems' own
/// tools show.
extension MountedTreeTests {
  @Suite("mounted tree: description") struct DescribeTests {
    @Test(arguments: [
      ("ext4", "", "", "noatime"), ("ext4", "-O inline_data -I 256", "", "noatime"),
      ("ext4", "-b 1024 -O ^64bit", "", "noatime"), ("ext4", "-O bigalloc -C 65536", "", "noatime"),
      ("ext3", "", "", "noatime"), ("ext2", "", "", "noatime"), ("ext4", "", "-b 4096", "noatime"),
      ("xfs", "-m reflink=1", "", "noatime"), ("xfs", "-b size=1024", "", "noatime"),
      ("xfs", "-s size=4096", "-b 4096", "noatime"),
      ("ext4", "", "", "noatime,data=journal"), ("xfs", "", "", "noatime,inode32"),
    ])
    func everythingIsAsTheKernelShowsIt(
      type: String, format: String, loop: String, mounting: String
    ) throws {
      let volume = try LoopFileSystem(type, format: format, loop: loop, mounting: mounting)
      try volume.run(MountedTreeTests.content)
      try volume.remount("ro")
      let image = try FrozenTree(MountedTree(path: volume.path("data")))
      #expect(image.tree.image.promise == .readOnly)
      let hasWitness = type == "ext3" || type == "ext4"
      #expect(image.tree.validation == (hasWitness ? .witness : .question))
      var comparison = TreeComparison(image)
      try comparison.compare(with: volume.path("data"))
      #expect(comparison.nodes > 3020)
      #expect(comparison.tally.stored > (format.contains("bigalloc") ? 10 : 30))
      #expect(comparison.tally.encoded == 0)
      #expect((comparison.tally.unwritten > 0) == (type == "ext4" || type == "xfs"))
      #expect((comparison.tally.inline > 0) == format.contains("inline_data"))
      // All of the tree is one and the same file system's, also from its very top.
      let top = try FrozenTree(MountedTree(path: volume.mount))
      #expect(try top.inode("data/large") == image.inode("large"))
      let uuid = try shell("blkid -p -o value -s UUID \(volume.device)").trimmed
      #expect(image.tree.fileSystemID.description == uuid)
    }

    @Test func birthTimesAndGenerationsAreTold() throws {
      for type in ["ext4", "xfs"] {
        let volume = try LoopFileSystem(type)
        try volume.run("head -c 9000 /dev/urandom > f; ln -s x l")
        try volume.remount("ro")
        let image = try FrozenTree(MountedTree(path: volume.mount))
        for name in ["f", "l"] {
          let attributes = try image.representation.attributes(of: image.node(name))
          let birth = try shell("stat -c %W \(volume.path(name))").trimmed
          #expect(attributes.created.map { String($0.seconds) } == birth)
        }
        let told = try image.representation.attributes(of: image.node("f")).generation
        #expect(try shell("lsattr -v \(volume.path("f"))").contains("\(told) "))
      }
    }

    @Test func beingDescribedAndReadLeavesNoTrace() throws {
      for type in ["ext4", "xfs"] {
        let volume = try LoopFileSystem(type, mounting: "strictatime")
        try volume.run("mkdir d; head -c 9000 /dev/urandom > d/f; ln -s x d/l; sleep 0.1")
        let times = { try volume.run("stat -c %x%y%z . d d/f d/l") }
        let before = try times()
        let image = try FrozenTree(MountedTree(path: volume.mount, assumeFrozen: true))
        var bytes = [UInt8](repeating: 0, count: 9000)
        let count = try bytes.withUnsafeMutableBytes {
          try image.source.read(inode: image.inode("d/f"), offset: 0, into: $0)
        }
        #expect(try count == 9000 && times() == before)
      }
    }

    @Test func extentsAreThoseOfFilefrag() throws {
      let volume = try LoopFileSystem("ext4")
      try volume.run(MountedTreeTests.content)
      try volume.remount("ro")
      let image = try FrozenTree(MountedTree(path: volume.path("data")))
      for name in ["large", "fragments", "hole", "preallocated", "b4097"] {
        // "   0:        0..     255:      34816..     35071:    256:             last,eof"
        let lines = try shell("filefrag -v -b512 \(volume.path("data/" + name))")
          .split(separator: "\n").filter { $0.contains("..") }
        let shown = try lines.map { line -> [UInt64] in
          let parts = line.split(separator: ":", omittingEmptySubsequences: false)
          let numbers = { (part: Substring) in
            part.split(separator: ".").compactMap { UInt64($0.filter(\.isNumber)) }
          }
          let (logical, physical) = (numbers(parts[1]), numbers(parts[2]))
          try #require(logical.count == 2 && physical.count == 2)
          return [logical[0], logical[1], line.contains("unwritten") ? .max : physical[0]]
        }
        try expectSame(image.extents(name), shown, image, name)
      }
      #expect(try image.extents("fragments").count > 20)
    }

    @Test func extentsAreThoseOfXFSBmap() throws {
      let volume = try LoopFileSystem("xfs", format: "-m reflink=1")
      try volume.run(MountedTreeTests.content)
      try volume.run("cp --reflink=always data/large data/shared")
      try volume.remount("ro")
      let image = try FrozenTree(MountedTree(path: volume.path("data")))
      for name in ["large", "fragments", "hole", "preallocated", "shared"] {
        // " 0: [0..8191]:  1040..9231  0 (1040..9231)  8192 000000", or "hole".
        let lines = try shell("xfs_bmap -vp \(volume.path("data/" + name))")
          .split(separator: "\n").filter { $0.contains("]:") && !$0.contains("hole") }
        let shown = try lines.map { line -> [UInt64] in
          let parts = line.split(separator: "]")
          let numbers = { (part: Substring) in
            part.split(separator: ".").compactMap { UInt64($0.filter(\.isNumber)) }
          }
          let words = parts[1].dropFirst().split(separator: " ")
          let logical = numbers(try #require(parts[0].split(separator: "[").last))
          let isUnwritten = try #require(words.last.flatMap { UInt64($0, radix: 8) }) & 0o10000 != 0
          return [logical[0], logical[1], isUnwritten ? .max : numbers(words[0])[0]]
        }
        try expectSame(image.extents(name), shown, image, name)
      }
      #expect(try image.extents("shared").map(\.source) == image.extents("large").map(\.source))
      #expect(try image.extents("fragments").count > 20)
    }

    /// Compares sector by sector, as the tools cut extents where they like.
    private func expectSame(
      _ extents: [FileExtent], _ shown: [[UInt64]], _ image: FrozenTree, _ name: String
    ) throws {
      let size = try image.representation.attributes(of: image.node(name)).size
      var expected: [UInt64: UInt64] = [:]
      for run in shown {
        for sector in run[0]...run[1] where sector * 512 < size {
          expected[sector] = run[2] == .max ? .max : run[2] + (sector - run[0])
        }
      }
      var found: [UInt64: UInt64] = [:]
      for extent in extents {
        for sector in extent.offset / 512..<(min(extent.end, size) + 511) / 512 {
          if case .stored(let address) = extent.source {
            found[sector] = address.offset / 512 + (sector - extent.offset / 512)
          } else {
            found[sector] = .max
          }
        }
      }
      #expect(!expected.isEmpty && found == expected, "\(name)")
    }

    @Test func whatIsMountedBelowDoesNotBelongToTheTree() throws {
      let volume = try LoopFileSystem("ext4")
      try volume.run("mkdir -p d/below; echo covered > d/below/f; echo x > d/g")
      try volume.remount("ro")
      try shell(
        "mount -t tmpfs none \(volume.path("d/below")); : > \(volume.path("d/below/other"))")
      let image = try FrozenTree(MountedTree(path: volume.path("d")))
      #expect(try image.representation.attributes(of: image.node("below/f")).size == 8)
      let below = try image.node("below")
      #expect(try image.representation.entry(at: 1, of: below) == nil)
    }

    @Test func aReadOnlyDeviceIsTaken() throws {
      let volume = try LoopFileSystem("xfs")
      try volume.run("head -c 100000 /dev/urandom > f")
      try shell(
        """
        umount \(volume.mount); blockdev --setro \(volume.device)
        mount -o ro \(volume.device) \(volume.mount)
        """)
      let image = try FrozenTree(MountedTree(path: volume.mount))
      var comparison = TreeComparison(image)
      try comparison.compare(with: volume.mount)
    }

    @Test func manyFilesAreListedOnce() throws {
      for type in ["ext4", "xfs"] {
        let volume = try LoopFileSystem(type, format: type == "ext4" ? "-N 40000" : "")
        try volume.run(
          """
          mkdir -p a/b; cd a; seq 1 10000 | xargs touch; seq 1 10000 | sed 's,^,b/,' | xargs touch
          seq 1 500 | sed 's,^,b/d,' | xargs mkdir; ln 1 b/linked
          python3 - <<'P'
          import os
          os.mkdir("deep"); os.chdir("deep")
          for i in range(300):
              os.mkdir("d" * 200); os.chdir("d" * 200)
          open("bottom", "w").write("x")
          P
          """)
        try volume.remount("ro")
        let image = try FrozenTree(MountedTree(path: volume.path("a")))
        #expect(image.representation.nodeCount == 1 + 20000 + 1 + 500 + 1 + 300 + 1)
        #expect(try image.inode("1") == image.inode("b/linked"))
      }
    }

    /// What lies on the device in another form, or lies in the journal yet, comes through
    /// the kernel.
    @Test func encryptedAndJournalledFilesAreRead() throws {
      let volume = try LoopFileSystem("ext4", format: "-O encrypt")
      // chattr +j takes a capability that root need not have.
      try volume.run("head -c 50000 /dev/urandom > j")
      try shell(
        """
        umount \(volume.mount)
        debugfs -w -R 'set_inode_field j flags 0x84000' \(volume.device) 2>/dev/null
        mount -o noatime \(volume.device) \(volume.mount)
        """)
      let key = try volume.run("head -c 64 /dev/urandom | xfs_io -c add_enckey .").trimmed
      let id = try #require(key.split(separator: " ").last)
      try volume.run(
        """
        mkdir e; xfs_io -c 'set_encpolicy -v 2 \(id)' e; head -c 50000 /dev/urandom > e/f
        ln -s target e/l
        """)
      for isReadOnly in [false, true] {
        if isReadOnly { try volume.remount("ro") }
        let image = try FrozenTree(MountedTree(path: volume.mount, assumeFrozen: !isReadOnly))
        var comparison = TreeComparison(image)
        try comparison.compare(with: volume.mount)
        #expect(try image.extents("e/f").map(\.source) == [.encoded])
        #expect(try (image.extents("j").map(\.source) == [.encoded]) == !isReadOnly)
        #expect(try image.changes(validating: ["e/f", "j"]).isEmpty)
      }
    }

    /// As the kernel shows it: names without their key, and files that do not open.
    @Test func aLockedDirectoryIsThere() throws {
      let volume = try LoopFileSystem("ext4", format: "-O encrypt")
      let key = try volume.run("head -c 64 /dev/urandom | xfs_io -c add_enckey .").trimmed
      let id = try #require(key.split(separator: " ").last)
      try volume.run(
        """
        mkdir t t/e; xfs_io -c 'set_encpolicy -v 2 \(id)' t/e; echo plain > t/plain
        echo secret > t/e/f; ln -s target t/e/l; mkdir t/e/d; echo inner > t/e/d/g
        """)
      try shell("umount \(volume.mount); mount -o ro \(volume.device) \(volume.mount)")
      let image = try FrozenTree(MountedTree(path: volume.path("t")))
      let names = try volume.run("cd t; find e -type f").trimmed.split(separator: "\n")
      let reasons = try image.representation.unreadableReasons()
      #expect(names.count == 2)
      #expect(reasons.keys.sorted() == names.map { "/\($0) content" }.sorted())
      #expect(reasons.values.allSatisfy { $0.contains("Required key not available") }, "\(reasons)")
      #expect(try image.extents(String(names[0])).map(\.source) == [.unreadable])
      let link = try volume.run("cd t; find e -type l").trimmed
      let target = try image.representation.symbolicLinkTarget(of: image.node(link))
      #expect(
        String(decoding: target, as: UTF8.self) == (try volume.run("readlink t/\(link)").trimmed))
      #expect(try image.representation.attributes(of: image.node("plain")).size == 6)
    }

    @Test func theLastBlockOfTheLargestFileIsTold() throws {
      let volume = try LoopFileSystem("xfs")
      let last = UInt64(Int64.max) - 4095
      try volume.run(
        """
        python3 - <<'P'
        import os
        file = os.open("f", os.O_CREAT | os.O_RDWR)
        os.pwrite(file, b"at the end", 2**63 - 11); os.fsync(file)
        P
        """)
      try volume.remount("ro")
      let image = try FrozenTree(MountedTree(path: volume.mount))
      let extents = try image.representation.extents(of: image.node("f"), in: 0..<UInt64.max)
      #expect(extents.map(\.offset) == [last] && extents.map(\.length) == [4096])
      let extent = try #require(extents.last)
      guard case .stored(let address) = extent.source else {
        Issue.record("\(extent)")
        return
      }
      let bytes = try Layer(OpenMedium(path: volume.device)).bytes(at: address.offset, count: 4096)
      #expect(bytes[4085..<4095].elementsEqual("at the end".utf8))
      // The question about it, and the bytes through the kernel.
      let portion = Portion(inode: try image.inode("f"), range: last..<last + 4096)
      let answer = try image.source.answer(image.question([portion], validating: [portion]))
      #expect(answer.changes == .ranges([]))
      var block = [UInt8](repeating: 0, count: 4096)
      let count = try block.withUnsafeMutableBytes {
        try image.source.read(inode: portion.inode, offset: last, into: $0)
      }
      #expect(count == 4095 && block[4085..<4095].elementsEqual("at the end".utf8))
    }

    @Test func anotherDeviceIsRefused() throws {
      let volume = try LoopFileSystem("ext4")
      let other = try LoopFileSystem("ext4")
      try volume.remount("ro")
      let tree = try MountedTree(path: volume.mount)
      let layer = Layer(try OpenMedium(path: other.device))
      let reason = reason {
        _ = try FrozenTree.describe(tree, on: Stack(top: layer, identity: tree.identity))
      }
      #expect(reason.contains("is not the device \(volume.device)"))
    }
  }
}

/// What an error says.
func reason(_ body: () throws -> Void) -> String {
  do {
    try body()
    return "no error"
  } catch {
    return "\(error)"
  }
}
