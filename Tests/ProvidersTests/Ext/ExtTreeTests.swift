import FrozenImage
import Glibc
import LogicalRepresentation
import TestTags
import Testing

@testable import FileTrees

/// The tests that mount: one after the other, because they share loop devices and the
/// machine's two cores.
@Suite(
  "ext", .tags(.needsRoot, .needsLoopDevices), .serialized, .enabled(if: ExtPrivileges.suffice))
enum ExtTests {}

extension ExtTests {
  /// Every kind of node, extent and attribute, in every layout, as the kernel shows
  /// them.
  @Suite("ext tree") struct TreeTests {
    /// What a file system cannot do it refuses; the rest remains.
    static let content = """
      : > empty; printf x > one; head -c 50 /dev/urandom > tiny; head -c 120 /dev/urandom > small
      for n in 60 61 2000 4095 4096 4097; do head -c $n /dev/urandom > b$n; done
      truncate -s 10M hole
      head -c 9000 /dev/urandom | dd of=hole bs=1 seek=5000000 conv=notrunc status=none
      truncate -s 20M hole; truncate -s 1M onlyhole
      printf x > grown; truncate -s 100000 grown; truncate -s 3 grown2
      if fallocate -l 1M preallocated 2>/dev/null; then
        head -c 8192 /dev/urandom | dd of=preallocated bs=4096 seek=10 conv=notrunc status=none
        touch kept; fallocate -n -l 1M kept; head -c 100 /dev/urandom | dd of=kept conv=notrunc status=none
      else rm -f preallocated; fi
      python3 - <<'END'
      import os, socket
      with open('alternating', 'wb') as file:
        for block in range(1500):
          file.seek(block * 8192); file.write(os.urandom(4096))
      with open('far', 'wb') as file:
        for offset in (12 << 10, 300 << 10, 70 << 20, 100 << 20, (4 << 30) + (5 << 20), (9 << 30) + 7):
          file.seek(offset); file.write(os.urandom(5000))
      pair = [open('left', 'wb'), open('right', 'wb')]
      for block in range(200):
        for file in pair:
          file.write(os.urandom(4096)); file.flush(); os.fsync(file.fileno())
      socket.socket(socket.AF_UNIX).bind('socket')
      for size in (10, 100, 900, 3000, 20000, 60000):
        open('attributes%d' % size, 'w')
        for name in (b'user.a', b'trusted.b', b'security.c', b'user.\\xff\\x01'):
          try: os.setxattr('attributes%d' % size, name, os.urandom(size))
          except OSError: pass
      os.setxattr('empty', b'user.empty', b'')
      END
      mkdir -p d/e/f; ln one d/hard; ln one d/e/hard
      ln -s ../one d/link
      for n in 58 59 60 61 100 140 1000; do
        ln -s $(head -c $n /dev/zero | tr '\\0' s) link$n
      done
      mkfifo fifo; mknod null c 1 3; mknod big b 259 70000; mknod huge c 4095 1048575
      setfattr -n user.colour -v blue one; setfattr -n trusted.floe -v secret d
      setfattr -h -n trusted.floe -v linked link1000
      setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 b4096
      setfacl -m u:1234:rw,g:70000:r,m::rw one; setfacl -d -m g:9:rx d; setfacl -m u:1:- d
      printf odd > "$(printf 'n\\377\\001me')"; printf long > $(head -c 255 /dev/zero | tr '\\0' n)
      chown 1234:5678 tiny; chown 70000:80000 small; chmod 4751 b4095; chmod 1777 d
      touch -d '1901-12-14 04:05:06.789' b4097; touch -d '2446-01-02 03:04:05.678901234' b4096
      touch -d '2040-02-29 03:04:05.000000001' b4095; touch -h -d '2200-01-01 01:02:03.4' link58
      mkdir many; cd many
      python3 -c 'for n in range(5000): open("entry%d" % n + "x" * (n % 90), "w")'
      rm entry1?? entry2*; cd ..
      mkdir few; cd few; for n in 1 2 3 4 5 6 7 8; do : > a$n; done; rm a3; cd ..
      chattr +d one; chattr +A tiny; chattr +a b2000; chattr +i small; chattr +D d
      """

    static let formats = [
      "mkfs.ext2", "mkfs.ext2 -b 1024 -I 128", "mkfs.ext2 -b 2048 -O ^filetype,^dir_index",
      "mkfs.ext3", "mkfs.ext3 -b 1024", "mkfs.ext4", "mkfs.ext4 -b 1024",
      "mkfs.ext4 -b 1024 -O inline_data,64bit", "mkfs.ext4 -I 1024 -O inline_data,ea_inode",
      "mkfs.ext4 -O bigalloc -C 16384", "mkfs.ext4 -O ^extents,^64bit,^metadata_csum",
      "mkfs.ext4 -O ea_inode,large_dir,metadata_csum_seed,orphan_file",
      "mkfs.ext4 -O ^metadata_csum,uninit_bg,^64bit -I 128",
      "mkfs.ext4 -O meta_bg,^resize_inode,mmp",
      "mkfs.ext4 -O sparse_super2,^has_journal,^huge_file,^dir_nlink -g 8192",
    ]

    @Test(arguments: formats) func nodesAreAsTheKernelShowsThem(format: String) throws {
      let image = try ExtImage(format, size: "300M")
      try image.fill(Self.content)
      let described = try DescribedExt(image.open())
      let nodes = try image.mounted("ro,noatime") {
        var oracle = try MountedOracle(described, mount: image.mount)
        try oracle.compare(described.root)
        expectStatistics(described.fileSystem.statistics, image.mount)
        return oracle.nodes
      }
      #expect(nodes > 3900)
      // Nobody wrote to it meanwhile.
      let unchanged = try described.fileSystem.isUnchanged(
        since: described.fileSystem.witnessBytes)
      #expect(unchanged)
    }

    private func expectStatistics(_ statistics: FileSystemStatistics, _ mount: String) {
      var status = statvfs()
      #expect(statvfs(mount, &status) == 0)
      #expect(UInt64(statistics.blockSize) == UInt64(status.f_frsize))
      #expect(statistics.blocks == UInt64(status.f_blocks))
      #expect(statistics.freeBlocks == UInt64(status.f_bfree))
      #expect(statistics.availableBlocks == UInt64(status.f_bavail))
      #expect(statistics.files == UInt64(status.f_files))
      #expect(statistics.freeFiles == UInt64(status.f_ffree))
      #expect(UInt64(statistics.maximumNameLength) == UInt64(status.f_namemax))
    }

    @Test func aBigDirectoryIsWholeAndItsIndexHidden() throws {
      let image = try ExtImage("mkfs.ext4 -b 1024 -N 110000", size: "192M")
      try image.fill(
        "mkdir d; cd d; python3 -c 'for n in range(100000): open(\"entry%d\" % n, \"w\")'")
      #expect(try image.debug("htree /d").contains("Indirect levels: 1"))
      let described = try DescribedExt(image.open())
      let node = try described.node("d")
      #expect(try described.representation.entry(at: 99999, of: node) != nil)
      #expect(try described.representation.entry(at: 100000, of: node) == nil)
      for number in [0, 54321, 99999] { _ = try described.node("d/entry\(number)") }
    }

    @Test func aDirectoryOfManyDirectoriesHasOneLink() throws {
      let image = try ExtImage("mkfs.ext4 -b 1024 -N 70000 -O inline_data", size: "64M")
      try image.fill(
        "mkdir d; cd d; python3 -c 'import os\nfor n in range(65100): os.mkdir(str(n))'")
      let described = try DescribedExt(image.open())
      let node = try described.node("d")
      #expect(try described.representation.attributes(of: node).links == 1)
      #expect(try described.representation.entry(at: 65099, of: node) != nil)
      #expect(try described.representation.entry(at: 65100, of: node) == nil)
    }
  }
}
