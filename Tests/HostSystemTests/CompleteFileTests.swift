import FrozenImage
import Glibc
import HostSystem
import Media
import SystemPackage
import Testing

@Suite struct CompleteFileTests {
  private func inDirectory(_ body: (FilePath) throws -> Void) throws {
    var template = Array("/tmp/floe-complete.XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let path = PathText.text(cString: template)
    defer { _ = ChildProcess.run("rm", ["rm", "-rf", path]) }
    try body(FilePath(path))
  }

  private func contents(of path: FilePath) throws -> String {
    let file = try FileDescriptor.open(path, .readOnly)
    return try file.closeAfter {
      var bytes = [UInt8](repeating: 0, count: 100)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
      return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
  }

  private func names(in directory: FilePath) throws -> [String] {
    let stream = try #require(opendir(directory.string))
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      names.append(
        withUnsafeBytes(of: entry.pointee.d_name) { PathText.text(of: $0.prefix { $0 != 0 }) })
    }
    return names.filter { $0 != "." && $0 != ".." }.sorted()
  }

  private func write(_ text: String, to path: FilePath, replacing: Bool) throws {
    try CompleteFile.write(Array(text.utf8), to: path, mode: 0o640, replacing: replacing)
  }

  @Test func aFileHasItsBytesAndItsMode() throws {
    try inDirectory { directory in
      let path = directory.appending("file")
      try write("first", to: path, replacing: false)
      #expect(try contents(of: path) == "first")
      var status = stat()
      try #require(stat(path.string, &status) == 0)
      let mask = umask(0)
      umask(mask)
      #expect(status.st_mode & 0o7777 == 0o640 & ~mask)
      #expect(try names(in: directory) == ["file"])
    }
  }

  @Test func aFileThatIsThereIsReplacedOnlyOnRequest() throws {
    try inDirectory { directory in
      let path = directory.appending("file")
      try write("first", to: path, replacing: false)
      let refused = #expect(throws: FileFailure.self) {
        try write("second", to: path, replacing: false)
      }
      #expect(refused?.reason == .fileExists)
      #expect(try contents(of: path) == "first")
      try write("second", to: path, replacing: true)
      #expect(try contents(of: path) == "second")
      #expect(try names(in: directory) == ["file"])
    }
  }

  /// Somebody put links under every name that a writer might use.
  @Test func noLinkIsFollowed() throws {
    try inDirectory { directory in
      let target = directory.appending("target")
      try write("untouched", to: target, replacing: false)
      for name in ["file", "file.partial", "file.new"] {
        try #require(symlink(target.string, directory.appending(name).string) == 0)
      }
      let path = directory.appending("file")
      #expect(throws: FileFailure.self) { try write("x", to: path, replacing: false) }
      try write("written", to: path, replacing: true)
      #expect(try contents(of: target) == "untouched")
      #expect(try contents(of: path) == "written")
      var status = stat()
      try #require(lstat(path.string, &status) == 0)
      #expect(status.st_mode & S_IFMT == S_IFREG)
    }
  }

  /// The system calls that floe makes with a path pass its bytes on.
  @Test func pathsThatAreNotUTF8() throws {
    try inDirectory { directory in
      let bytes: [UInt8] = [0x63, 0xE9, 0x64]
      let path = directory.appending(PathText.text(of: bytes))
      try write("odd", to: path, replacing: false)
      let opened = directory.string.withCString { Glibc.opendir($0) }
      let stream = try #require(opened)
      defer { closedir(stream) }
      var found: [[UInt8]] = []
      while let entry = readdir(stream) {
        found.append(withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) })
      }
      #expect(found.contains(bytes))
      #expect(try names(in: directory) == [PathText.text(of: bytes)])
      #expect(try contents(of: path) == "odd")
      #expect(access(path.string, R_OK) == 0)
      let medium = try OpenMedium(path: path.string)
      #expect(medium.size == 3)
      let other = directory.appending(PathText.text(of: [0xFF]))
      #expect(rename(path.string, other.string) == 0)
      let resolved = try #require(realpath(other.string, nil))
      defer { free(resolved) }
      #expect(PathText.text(cString: resolved) == other.string)
      #expect(unlink(other.string) == 0)
      #expect(try names(in: directory).isEmpty)
    }
  }
}
