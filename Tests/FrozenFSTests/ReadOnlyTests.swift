import CFuse3
import CMountCalls
import FrozenImage
import Glibc
import Testing

extension MountTests {
  /// A frozen image cannot be changed.
  @Suite struct ReadOnly {
    @Test func changesAreRefused() async throws {
      try await mounted(try image()) { mount in
        expectRefusals(in: mount.path)
      }
    }

    /// The kernel no longer refuses by itself then.
    @Test func changesAreRefusedAfterARemount() async throws {
      let file = sampleFile(inode: 900, size: 5000)
      try await mounted(try image()) { mount in
        #expect(try contents(of: "\(mount.path)/900") == file.bytes)
        try check(remountWritable(mount.path), "remount")
        expectRefusals(in: mount.path)
        for flags in [O_WRONLY, O_RDWR] {
          #expect(failure { open("\(mount.path)/900", flags) } == EROFS)
        }
        #expect(failure { open("\(mount.path)/900", O_WRONLY | O_TRUNC) } == EROFS)
        #expect(try contents(of: "\(mount.path)/900") == file.bytes)
        #expect(try status("\(mount.path)/900").st_size == 5000)
      }
    }

    /// The pages of a shared mapping are those that every other reader is shown.
    @Test func noMappingChangesWhatOthersReadAfterARemount() async throws {
      let file = sampleFile(inode: 900, size: 5000)
      try await mounted(try image()) { mount in
        let path = "\(mount.path)/900"
        #expect(try contents(of: path) == file.bytes)
        try check(remountWritable(mount.path), "remount")
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        let refusal = descriptor < 0 ? errno : 0
        if descriptor >= 0 {
          defer { close(descriptor) }
          let mapped = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
          if let mapped, mapped != MAP_FAILED {
            memset(mapped, 0xEE, 4096)
            munmap(mapped, 4096)
          }
        }
        #expect(try contents(of: path) == file.bytes)
        #expect(refusal == EROFS)
        // What is open for reading gives no writable mapping either.
        try opened(path) { file in
          #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED)
        }
      }
    }

    private func image() throws -> MemoryImage {
      var file = sampleFile(inode: 900, size: 5000)
      file.extendedAttributes = [("user.text", [1])]
      return try MemoryImage([file, .init(attributes: .sample(.directory, inode: 901))])
    }

    private func remountWritable(_ path: String) -> Int32 {
      mount("", path, "", UInt(mount_remount), nil)
    }

    private func expectRefusals(in path: String) {
      let file = "\(path)/900"
      #expect(failure { open("\(path)/new", O_WRONLY | O_CREAT, 0o644) } == EROFS)
      #expect(failure { truncate(file, 0) } == EROFS)
      #expect(failure { chmod(file, 0o600) } == EROFS)
      #expect(failure { chown(file, 1, 1) } == EROFS)
      #expect(failure { utimensat(AT_FDCWD, file, nil, 0) } == EROFS)
      #expect(failure { unlink(file) } == EROFS)
      #expect(failure { rename(file, "\(path)/new") } == EROFS)
      #expect(failure { link(file, "\(path)/new") } == EROFS)
      #expect(failure { symlink("x", "\(path)/new") } == EROFS)
      #expect(failure { mkdir("\(path)/new", 0o755) } == EROFS)
      #expect(failure { rmdir("\(path)/901") } == EROFS)
      #expect(failure { mknod("\(path)/new", S_IFIFO | 0o644, 0) } == EROFS)
      #expect(failure { setxattr(file, "user.text", "y", 1, 0) } == EROFS)
      #expect(failure { removexattr(file, "user.text") } == EROFS)
    }
  }
}
