import CFuse3
import FrozenImage
import Glibc
import Testing

extension MountTests {
  /// What `stat`, `readlink` and `statvfs` tell.
  @Suite struct Attributes {
    @Test func everyFieldOfStatIsTheSources() async throws {
      var file = sampleFile(inode: 300, size: 5000)
      file.attributes.mode = 0o106751
      file.attributes.links = 1
      file.attributes.owner = 4_000_000_000
      file.attributes.group = 3_000_000_000
      file.attributes.blocks = 77
      file.attributes.accessed = Timestamp(seconds: 1_600_000_001, nanoseconds: 1)
      file.attributes.modified = Timestamp(seconds: -5, nanoseconds: 999_999_999)
      file.attributes.changed = Timestamp(seconds: 8_000_000_000, nanoseconds: 500_000_000)
      try await mounted(try MemoryImage([file])) { mount in
        let status = try status("\(mount.path)/300")
        #expect(status.st_ino == 300)
        #expect(status.st_mode == 0o106751)
        #expect(status.st_nlink == 1)
        #expect(status.st_uid == 4_000_000_000)
        #expect(status.st_gid == 3_000_000_000)
        #expect(status.st_size == 5000)
        #expect(status.st_blocks == 77)
        #expect(status.st_blksize == 4096)
        #expect(status.st_atim.tv_sec == 1_600_000_001 && status.st_atim.tv_nsec == 1)
        #expect(status.st_mtim.tv_sec == -5 && status.st_mtim.tv_nsec == 999_999_999)
        #expect(status.st_ctim.tv_sec == 8_000_000_000 && status.st_ctim.tv_nsec == 500_000_000)
      }
    }

    @Test func nodesOfEveryType() async throws {
      var nodes: [SampleNode] = []
      for (inode, type) in [
        (301, .fifo), (302, .characterDevice), (303, .blockDevice), (304, .socket),
      ] as [(UInt64, FileType)] {
        var node = SampleNode(attributes: .sample(type, inode: inode))
        if type == .characterDevice || type == .blockDevice {
          node.attributes.deviceMajor = 259
          node.attributes.deviceMinor = 70_000
        }
        nodes.append(node)
      }
      try await mounted(try MemoryImage(nodes)) { mount in
        #expect(try status("\(mount.path)/301").st_mode == 0o010644)
        #expect(try status("\(mount.path)/304").st_mode == 0o140644)
        for (name, type) in [("302", 0o020000), ("303", 0o060000)] as [(String, mode_t)] {
          let status = try status("\(mount.path)/\(name)")
          #expect(status.st_mode == type | 0o644)
          #expect(gnu_dev_major(status.st_rdev) == 259)
          #expect(gnu_dev_minor(status.st_rdev) == 70_000)
        }
      }
    }

    @Test func hardLinksAreOneFile() async throws {
      var file = sampleFile(inode: 400, size: 10)
      file.attributes.links = 2
      var directory = SampleNode(attributes: .sample(.directory, inode: 401))
      directory.entries = [(Array("first".utf8), 400), (Array("second".utf8), 400)]
      try await mounted(try MemoryImage([file, directory])) { mount in
        let first = try status("\(mount.path)/401/first")
        let second = try status("\(mount.path)/401/second")
        #expect(first.st_ino == 400 && second.st_ino == 400)
        #expect(first.st_dev == second.st_dev)
        #expect(first.st_nlink == 2 && second.st_nlink == 2)
      }
    }

    @Test func symbolicLinksOfAnyBytes() async throws {
      let targets: [[UInt8]] = [
        Array("/absolute/target".utf8), [0xFF, 0xFE, 0x20, 0x2F, 0xC3],
        Array(repeating: UInt8(ascii: "x"), count: 4095),
      ]
      let links = targets.enumerated().map { number, target in
        var link = SampleNode(
          attributes: .sample(
            .symbolicLink, inode: 500 + UInt64(number), size: UInt64(target.count)))
        link.target = target
        return link
      }
      try await mounted(try MemoryImage(links)) { mount in
        for (number, target) in targets.enumerated() {
          let path = "\(mount.path)/\(500 + number)"
          var buffer = [CChar](repeating: 0, count: 8192)
          let count = try check(readlink(path, &buffer, buffer.count), "readlink")
          #expect(buffer.prefix(count).map(UInt8.init(bitPattern:)) == target)
          #expect(try status(path).st_size == target.count)
        }
      }
    }

    @Test func inodeNumbersOutliveTheMount() async throws {
      let large: UInt64 = 1 << 63 + 12345
      let image = try MemoryImage([sampleFile(inode: large, size: 1)])
      for _ in 0..<2 {
        try await mounted(image) { mount in
          let (file, root) = (try status("\(mount.path)/\(large)"), try status(mount.path))
          #expect(file.st_ino == large)
          #expect(root.st_ino == MemoryImage.rootInode)
        }
      }
    }

    @Test func statisticsAreTheSources() async throws {
      try await mounted(try MemoryImage([])) { mount in
        var statistics = statvfs()
        try check(statvfs(mount.path, &statistics), "statvfs")
        #expect(statistics.f_bsize == 4096)
        #expect(statistics.f_frsize == 4096)
        #expect(statistics.f_blocks == 1000)
        #expect(statistics.f_bfree == 500)
        #expect(statistics.f_bavail == 400)
        // Of the image, not of the source.
        #expect(statistics.f_files == 1)
        #expect(statistics.f_ffree == 0)
        #expect(statistics.f_namemax == 255)
      }
    }

    @Test func namesThatAreNotThere() async throws {
      try await mounted(try MemoryImage([sampleFile(inode: 300, size: 1)])) { mount in
        // The second time out of the kernel's cache.
        for _ in 0..<2 {
          #expect(failure { access("\(mount.path)/30", F_OK) } == ENOENT)
          #expect(failure { access("\(mount.path)/300/x", F_OK) } == ENOTDIR)
        }
      }
    }
  }
}
