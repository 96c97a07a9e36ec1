import CFuse3
import CMountCalls
import FrozenFS
import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

extension MountTests {
  /// What could not be read when the image was frozen answers EIO, and nothing else does.
  @Suite struct Unreadable {
    private func image() throws -> MemoryImage {
      var directory = SampleNode(attributes: .sample(.directory, inode: 300))
      directory.entries = [(Array("known".utf8), 301)]
      directory.unreadable = [.content]
      var link = SampleNode(attributes: .sample(.symbolicLink, inode: 302))
      link.unreadable = [.content]
      var attributes = sampleFile(inode: 303, size: 10)
      attributes.extendedAttributes = [("user.known", [1])]
      attributes.unreadable = [.extendedAttributes]
      var lost = SampleNode(attributes: .sample(.regular, inode: 304))
      lost.unreadable = [.node]
      return try MemoryImage([
        directory, sampleFile(inode: 301, size: 10), link, attributes, lost,
        sampleFile(inode: 305, size: 10),
      ])
    }

    private func names(in path: String) throws -> (names: Set<String>, errno: Int32) {
      let stream = try #require(opendir(path))
      defer { closedir(stream) }
      var names: Set<String> = []
      while true {
        errno = 0
        guard let entry = readdir(stream) else { return (names, errno) }
        withUnsafePointer(to: &entry.pointee.d_name.0) { _ = names.insert(String(cString: $0)) }
      }
    }

    @Test func onlyThatIsEIO() async throws {
      try await mounted(image()) { mount in
        let root = try names(in: mount.path)
        #expect(root.names.isSuperset(of: ["300", "302", "303", "304", "305"]) && root.errno == 0)
        // The entries that are known, and then an error: nobody takes them for all.
        let directory = try names(in: "\(mount.path)/300")
        #expect(directory.names == [".", "..", "known"] && directory.errno == EIO)
        #expect(try contents(of: "\(mount.path)/300/known").count == 10)
        #expect(failure { access("\(mount.path)/300/other", F_OK) } == EIO)
        var room = [CChar](repeating: 0, count: 100)
        #expect(failure { readlink("\(mount.path)/302", &room, 100) } == EIO)
        #expect(try status("\(mount.path)/302").st_ino == 302)
        #expect(try contents(of: "\(mount.path)/303").count == 10)
        #expect(failure { llistxattr("\(mount.path)/303", &room, 100) } == EIO)
        #expect(lgetxattr("\(mount.path)/303", "user.known", &room, 100) == 1)
        #expect(failure { lgetxattr("\(mount.path)/303", "user.other", &room, 100) } == EIO)
        #expect(throws: CallError(call: "lstat \(mount.path)/304", errno: EIO)) {
          try status("\(mount.path)/304")
        }
        #expect(failure { access("\(mount.path)/none", F_OK) } == ENOENT)
        #expect(try contents(of: "\(mount.path)/305").count == 10)
      }
    }

    @Test func statfsCountsTheImagesInodes() async throws {
      try await mounted(image()) { mount in
        var status = statvfs()
        try check(statvfs(mount.path, &status), "statvfs")
        #expect(status.f_files == 7 && status.f_ffree == 0 && status.f_favail == 0)
      }
    }
  }
}
