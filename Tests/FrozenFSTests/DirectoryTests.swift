import CFuse3
import CMountCalls
import FrozenImage
import Glibc
import Testing

extension MountTests {
  /// Reading directories in every way that `readdir` allows.
  @Suite struct Directories {
    /// A directory entry as `readdir` gives it.
    struct Entry: Hashable {
      let name: [UInt8]
      let inode: UInt64
      let type: UInt8
      /// Where the entry after it begins.
      let next: Int
    }

    @Test func inodesAndTypesAgreeWithStat() async throws {
      var directory = SampleNode(attributes: .sample(.directory, inode: 600))
      directory.nested = ["nested", "nested too"]
      directory.entries = [
        (Array("file".utf8), 601), ([0xFF, 0x0A, 0x80], 602),
        (Array(repeating: UInt8(ascii: "n"), count: 255), 603), (Array("inner".utf8), 604),
      ]
      var link = SampleNode(attributes: .sample(.symbolicLink, inode: 603, size: 1))
      link.target = [UInt8(ascii: "x")]
      let image = try MemoryImage([
        directory, sampleFile(inode: 601, size: 1),
        SampleNode(attributes: .sample(.fifo, inode: 602)), link,
        SampleNode(attributes: .sample(.directory, inode: 604)),
      ])
      try await mounted(image) { mount in
        for (path, count) in [("600", 8), ("600/inner", 2), ("600/nested", 2), ("", 3)] {
          // Once from the mount, once from the kernel's cache.
          for _ in 0..<2 {
            let entries = try entries(of: "\(mount.path)/\(path)")
            #expect(entries.count == count)
            for entry in entries where !(path.isEmpty && entry.name == Array("..".utf8)) {
              let status = try entryStatus(of: entry.name, in: "\(mount.path)/\(path)")
              #expect(status.st_ino == entry.inode)
              #expect(status.st_mode >> 12 == entry.type)
            }
          }
        }
        #expect(try status("\(mount.path)/600/nested").st_ino == 2)
        #expect(try entries(of: "\(mount.path)/600/nested")[1].inode == 600)
      }
    }

    /// Every entry once, in pieces of any size, and again from any position.
    @Test func aHundredThousandEntries() async throws {
      let count = 100_000
      var directory = SampleNode(attributes: .sample(.directory, inode: 700))
      directory.entries = (0..<count).map { (Array("entry \($0)".utf8), 701) }
      var file = sampleFile(inode: 701, size: 0)
      file.attributes.links = UInt32(count)
      let image = try MemoryImage([directory, file])
      let expected = Set(directory.entries.map(\.name) + [Array(".".utf8), Array("..".utf8)])
      for size in [300, 1 << 20] {
        try await mounted(image) { mount in
          let path = "\(mount.path)/700"
          let all = try entries(of: path, pieces: size)
          #expect(all.count == expected.count)
          #expect(Set(all.map(\.name)) == expected)
          #expect(try entries(of: path, pieces: size) == all)
          try opened(path, O_DIRECTORY) { file in
            for position in [50_000, 1, 99_999, 2, 100_001, 0] {
              let start = position == 0 ? 0 : all[position - 1].next
              try check(lseek(file, start, SEEK_SET), "lseek")
              #expect(try piece(of: file, size: 4096).first == all[position])
            }
            try check(lseek(file, all[count + 1].next, SEEK_SET), "lseek")
            #expect(try piece(of: file, size: 4096).isEmpty)
          }
        }
      }
    }

    /// Seeking in a directory of which the kernel has cached nothing.
    @Test func seekingWithoutCache() async throws {
      var directory = SampleNode(attributes: .sample(.directory, inode: 700))
      directory.entries = (0..<5000).map { (Array("entry \($0)".utf8), 701) }
      let image = try MemoryImage([directory, sampleFile(inode: 701, size: 0)])
      let positions = Counters()
      try await mounted(image) { mount in
        positions.nexts = try entries(of: "\(mount.path)/700").map(\.next)
      }
      try await mounted(image) { mount in
        try opened("\(mount.path)/700", O_DIRECTORY) { file in
          try check(lseek(file, positions.nexts[2999], SEEK_SET), "lseek")
          var rest: [Entry] = []
          while case let found = try piece(of: file, size: 1000), !found.isEmpty { rest += found }
          #expect(rest.map(\.next) == Array(positions.nexts[3000...]))
        }
      }
    }

    /// Carries positions from one mount to the next.
    private final class Counters: @unchecked Sendable {
      var nexts: [Int] = []
    }

    private func entryStatus(of name: [UInt8], in directory: String) throws -> stat {
      var status = stat()
      try opened(directory, O_DIRECTORY) { file in
        let name = name.map(CChar.init(bitPattern:)) + [0]
        try check(fstatat(file, name, &status, AT_SYMLINK_NOFOLLOW), "fstatat")
      }
      return status
    }

    private func entries(of path: String, pieces size: Int = 32768) throws -> [Entry] {
      try opened(path, O_DIRECTORY) { file in
        var entries: [Entry] = []
        while case let found = try piece(of: file, size: size), !found.isEmpty { entries += found }
        return entries
      }
    }

    /// What one getdents64(2) with room for `size` bytes gives.
    private func piece(of directory: Int32, size: Int) throws -> [Entry] {
      var buffer = [UInt8](repeating: 0, count: size)
      let count = try check(mount_getdents(directory, &buffer, size), "getdents64")
      return buffer.withUnsafeBytes { buffer in
        var entries: [Entry] = []
        var position = 0
        while position < count {
          let length = Int(buffer.loadUnaligned(fromByteOffset: position + 16, as: UInt16.self))
          let name = buffer[(position + 19)..<(position + length)].prefix { $0 != 0 }
          entries.append(
            Entry(
              name: Array(name),
              inode: buffer.loadUnaligned(fromByteOffset: position, as: UInt64.self),
              type: buffer[position + 18],
              next: buffer.loadUnaligned(fromByteOffset: position + 8, as: Int.self)))
          position += length
        }
        return entries
      }
    }
  }
}
