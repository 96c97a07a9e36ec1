import CFuse3
import CMountCalls
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Testing

extension MountTests {
  /// File data, in every way that programs read it.
  @Suite struct Reads {
    @Test func anyOffsetAndLength() async throws {
      let files = [0, 1, 4095, 4096, 4097, 3_000_001].enumerated().map {
        sampleFile(inode: 800 + UInt64($0), size: $1)
      }
      var generator = SystemRandomNumberGenerator()
      let seed = generator.next()
      try await mounted(try MemoryImage(files)) { mount in
        for file in files {
          let path = "\(mount.path)/\(file.attributes.inode)"
          #expect(try contents(of: path) == file.bytes)
          var state = seed
          try opened(path) { descriptor in
            for _ in 0..<100 {
              state = state &* 6_364_136_223_846_793_005 &+ 1
              let offset = Int(state >> 33) % (file.bytes.count + 10)
              let count = Int(state >> 20 & 0x1F_FFFF)
              let expected = Array(file.bytes.dropFirst(offset).prefix(count))
              let found = try bytes(of: descriptor, at: offset, count: count)
              #expect(found == expected, "seed \(seed), \(count) bytes at \(offset)")
            }
          }
        }
      }
    }

    @Test func aroundThePageCache() async throws {
      let file = sampleFile(inode: 810, size: 3_000_000)
      try await mounted(try MemoryImage([file])) { mount in
        try opened("\(mount.path)/810", O_RDONLY | directFlag) { descriptor in
          let size = 1 << 20
          let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
          defer { buffer.deallocate() }
          for offset in [0, 4096, 1 << 20, 2_998_272] {
            let count = try check(pread(descriptor, buffer.baseAddress, size, offset), "pread")
            #expect(Array(buffer.prefix(count)) == Array(file.bytes.dropFirst(offset).prefix(size)))
          }
        }
      }
    }

    @Test func throughMappingsAndInTheKernel() async throws {
      let file = sampleFile(inode: 820, size: 3_000_001)
      try await mounted(try MemoryImage([file])) { mount in
        try opened("\(mount.path)/820") { descriptor in
          let map = mmap(nil, file.bytes.count, PROT_READ, MAP_PRIVATE, descriptor, 0)
          let mapped = UnsafeRawBufferPointer(start: map, count: file.bytes.count)
          #expect(map != MAP_FAILED && Array(mapped) == file.bytes)
          munmap(map, file.bytes.count)

          // Splices inside. (copy_file_range(2) does not go from one type of file
          // system to another, whatever a mount does.)
          let target = mount_memory_file("copy")
          defer { close(target) }
          var offset = off_t(0)
          while try check(sendfile(target, descriptor, &offset, 1 << 20), "sendfile") > 0 {}
          #expect(try bytes(of: target, at: 0, count: file.bytes.count + 1) == file.bytes)
        }
      }
    }

    @Test func throughAPipe() async throws {
      let file = sampleFile(inode: 821, size: 3_000_001)
      try await mounted(try MemoryImage([file])) { mount in
        let target = mount_memory_file("copy")
        defer { close(target) }
        try opened("\(mount.path)/821") { try splice($0, to: target) }
        let found = try bytes(of: target, at: 0, count: file.bytes.count + 1)
        #expect(found == file.bytes)
      }
    }

    private func splice(_ file: Int32, to target: Int32) throws {
      var ends: [Int32] = [-1, -1]
      try check(pipe(&ends), "pipe")
      defer { for end in ends { close(end) } }
      while true {
        var rest = try check(mount_splice(file, ends[1], 32768), "splice")
        if rest == 0 { return }
        while rest > 0 { rest -= try check(mount_splice(ends[0], target, rest), "splice") }
      }
    }

    /// Either the kernel copies all of a file, or it says at once that it does not.
    @Test func copiedInTheKernel() async throws {
      let file = sampleFile(inode: 822, size: 3_000_001)
      try await mounted(try MemoryImage([file])) { mount in
        let target = mount_memory_file("copy")
        defer { close(target) }
        let refusal = try opened("\(mount.path)/822") { copy($0, to: target) }
        let found = try bytes(of: target, at: 0, count: file.bytes.count + 1)
        if let refusal {
          #expect([EXDEV, EINVAL, EOPNOTSUPP].contains(refusal))
          #expect(found.isEmpty)
        } else {
          #expect(found == file.bytes)
        }
      }
    }

    /// What copy_file_range(2) failed with; `nil` when it came to the file's end.
    private func copy(_ file: Int32, to target: Int32) -> Int32? {
      while true {
        let count = mount_copy_range(file, target, 1 << 20)
        if count < 0 { return errno }
        if count == 0 { return nil }
      }
    }

    @Test func bytesAreReadOnce() async throws {
      let file = sampleFile(inode: 830, size: 2_000_000)
      let image = try MemoryImage([file])
      try await mounted(image) { mount in
        let first = try contents(of: "\(mount.path)/830")
        let reads = image.reads.count
        let second = try contents(of: "\(mount.path)/830")
        #expect(first == file.bytes && second == file.bytes)
        #expect(image.reads.count == reads)
      }
    }

    @Test func manyReadersAtOnce() async throws {
      let files = (0..<8).map { sampleFile(inode: 840 + $0, size: 1_500_000) }
      try await mounted(try MemoryImage(files)) { mount in
        let wrong = Counter()
        let finished = Counter()
        for reader in 0..<32 {
          try Thread.detach {
            let file = files[reader % files.count]
            let found = try? contents(of: "\(mount.path)/\(file.attributes.inode)")
            if found != file.bytes { wrong.add() }
            finished.add()
          }
        }
        while finished.count < 32 { usleep(1000) }
        #expect(wrong.count == 0)
      }
    }

    @Test func whatCannotBeReadIsAnError() async throws {
      var unreadable = sampleFile(inode: 850, size: 100_000)
      unreadable.failure = .unreadable("it is a test")
      var thawed = sampleFile(inode: 851, size: 100_000)
      thawed.failure = .thawed("it is a test")
      var short = sampleFile(inode: 852, size: 100_000)
      short.longestRead = 100
      try await mounted(try MemoryImage([unreadable, thawed, short])) { mount in
        for (name, errno) in [("850", EIO), ("851", ESTALE), ("852", EIO)] {
          for flags in [O_RDONLY, O_RDONLY | directFlag] {
            try opened("\(mount.path)/\(name)", flags) { file in
              let buffer = UnsafeMutableRawBufferPointer.allocate(
                byteCount: 65536, alignment: 4096)
              defer { buffer.deallocate() }
              #expect(
                failure { pread(file, buffer.baseAddress, buffer.count, 8192) } == errno,
                "\(name) \(flags)")
            }
          }
        }
      }
    }

    @Test func dataAndHoles() async throws {
      let kib: UInt64 = 1024
      var sparse = SampleNode(attributes: .sample(.regular, inode: 860, size: 1000 * kib + 5))
      sparse.bytes = Array(repeating: 0, count: 1000 * 1024 + 5)
      sparse.data = [100 * kib..<200 * kib, 300 * kib..<400 * kib]
      sparse.unwritten = [200 * kib..<250 * kib]
      var full = sampleFile(inode: 861, size: 10_000)
      // An extent ends with its block, past the file's end.
      full.data = [0..<12_288]
      let empty = sampleFile(inode: 862, size: 0)
      var hollow = SampleNode(attributes: .sample(.regular, inode: 863, size: 4096))
      hollow.bytes = Array(repeating: 0, count: 4096)
      let end = Int(1000 * kib + 5)
      let cases: [(file: String, whence: Int32, from: Int, expected: Int?)] = [
        ("860", seekData, 0, 102_400), ("860", seekHole, 0, 0), ("860", seekData, 150_000, 150_000),
        ("860", seekHole, 150_000, 204_800), ("860", seekData, 204_800, 307_200),
        ("860", seekHole, 307_200, 409_600), ("860", seekData, 409_600, nil),
        ("860", seekHole, end - 1, end - 1), ("860", seekHole, end, nil),
        ("860", seekData, end, nil), ("860", seekData, end + 1, nil),
        ("861", seekData, 9_999, 9_999), ("861", seekHole, 0, 10_000),
        ("861", seekHole, 9_999, 10_000), ("861", seekData, 10_000, nil),
        ("861", seekHole, 10_000, nil), ("861", seekData, .max, nil), ("861", seekData, -1, nil),
        ("862", seekData, 0, nil), ("862", seekHole, 0, nil), ("863", seekData, 0, nil),
        ("863", seekHole, 0, 0), ("863", SEEK_END, 0, 4096),
      ]
      try await mounted(try MemoryImage([sparse, full, empty, hollow])) { mount in
        for (name, whence, start, expected) in cases {
          try opened("\(mount.path)/\(name)") { file in
            let found = lseek(file, start, whence)
            let errno = errno
            if let expected {
              #expect(found == expected, "\(name), whence \(whence), from \(start)")
            } else {
              #expect(found == -1 && errno == ENXIO, "\(name), whence \(whence), from \(start)")
            }
          }
        }
        let hole = try opened("\(mount.path)/860") { try bytes(of: $0, at: 0, count: 1 << 20) }
        #expect(hole.count == end && hole.allSatisfy { $0 == 0 })
      }
    }
  }
}
