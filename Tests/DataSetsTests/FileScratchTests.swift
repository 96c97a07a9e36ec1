import DataSets
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import SystemPackage
import TestTags
import Testing

/// Representations in real files.
@Suite struct FileScratchTests {
  /// A directory of the test's own, gone afterwards.
  private func withDirectory(_ body: (FilePath) throws -> Void) throws {
    var template = Array("/tmp/floe-representation-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { removeAll(made) }
    try body(FilePath(made))
  }

  private func removeAll(_ directory: String) {
    for name in names(in: directory) { unlink(directory + "/" + name) }
    rmdir(directory)
  }

  private func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  private func volume() throws -> VolumeDescription {
    VolumeDescription(
      id: .random(), label: "",
      state: MappingState(configurationID: ConfigurationID(entries: []), cursor: []),
      map: try StoreMap(stores: [:], extents: [:]), media: [], checksum: nil, checksumBlockSize: 0)
  }

  private func attributes(_ inode: UInt64, _ type: FrozenImage.FileType) -> NodeAttributes {
    let time = Timestamp(seconds: 1, nanoseconds: 2)
    return NodeAttributes(
      inode: inode, generation: 0, mode: UInt32(type.rawValue) << 12 | 0o755, links: 1, owner: 0,
      group: 0, deviceMajor: 0, deviceMinor: 0, size: 100_000, blocks: 0, accessed: time,
      modified: time, changed: time, created: time, inodeFlags: 0)
  }

  /// Writes a directory of files with 100,000 inline bytes each.
  private func write(to scratch: any RepresentationScratch, files: UInt64) throws {
    let image = ImageDescription(
      id: .random(), name: "files", created: Timestamp(seconds: 0, nanoseconds: 0),
      provider: "btrfs", host: "", source: "",
      statistics: FileSystemStatistics(
        blockSize: 4096, blocks: 0, freeBlocks: 0, availableBlocks: 0, files: 0, freeFiles: 0,
        maximumNameLength: 255))
    var writer = try RepresentationWriter(
      image: image, volumes: [try volume()], scratch: scratch)
    try writer.beginNode(attributes(256, .directory))
    for file in 1...files {
      try Array("file \(file)".utf8).withUnsafeBytes {
        try writer.addEntry(name: $0, inode: 256 + file, type: .regular)
      }
    }
    try writer.endNode()
    for file in 1...files {
      try writer.beginNode(attributes(256 + file, .regular))
      try [UInt8](repeating: UInt8(truncatingIfNeeded: file), count: 100_000).withUnsafeBytes {
        try writer.addInline(offset: 0, length: 100_000, bytes: $0)
      }
      try writer.endNode()
    }
    try writer.finish(rootInode: 256, rootName: "files")
  }

  @Test func whatIsWrittenIsMappedAndRead() throws {
    try withDirectory { directory in
      let path = directory.appending("image")
      try write(to: try FileScratch(writing: path), files: 40)
      #expect(names(in: directory.string) == ["image"])
      let descriptor = try FileDescriptor.open(path, .readOnly)
      unlink(path.string)
      let representation = try Representation(MappedFile(descriptor: descriptor))
      try representation.check()
      for file: UInt64 in 1...40 {
        let found = try Array("file \(file)".utf8).withUnsafeBytes {
          try representation.lookup($0, in: representation.roots[0].node)
        }
        let extents = try representation.extents(of: try #require(found), in: 0..<100_000)
        guard case .inline(let offset)? = extents.first?.source else {
          Issue.record("file \(file) has no inline extent")
          continue
        }
        let bytes = try representation.heapBytes(at: offset, count: 100_000)
        #expect(bytes.allSatisfy { $0 == UInt8(truncatingIfNeeded: file) })
      }
    }
  }

  @Test func anErrorLeavesNothingBehindAndNothingIsReplaced() throws {
    try withDirectory { directory in
      let path = directory.appending("image")
      try write(to: try FileScratch(writing: path), files: 1)
      let before = try size(of: path)
      #expect(throws: RepresentationWriterError.self) {
        var writer = try RepresentationWriter(
          image: Representation(MappedFile.copy(of: path)).image, volumes: [try volume()],
          scratch: try FileScratch(writing: path))
        try writer.beginNode(attributes(256, .regular))
        try writer.endNode()
        try writer.finish(rootInode: 256, rootName: "")
      }
      #expect(names(in: directory.string) == ["image"])
      #expect(try size(of: path) == before)
      // A complete one takes its place.
      try write(to: try FileScratch(writing: path), files: 2)
      #expect(names(in: directory.string) == ["image"])
      #expect(try size(of: path) > before)
    }
  }

  private func size(of path: FilePath) throws -> Int {
    var status = stat()
    try #require(stat(path.string, &status) == 0)
    return status.st_size
  }

  @Test func aDirectoryThatIsMissingIsNamed() throws {
    #expect {
      try FileScratch(writing: "/nowhere/at/all/image")
    } throws: { error in
      "\(error)" == "no file can be made in /nowhere/at/all: No such file or directory"
    }
  }

  @Test(
    .tags(.needsRoot),
    .enabled(if: geteuid() == 0 || getenv("CI") != nil, "needs root, to mount a small tmpfs"))
  func aFullFileSystemIsNamed() throws {
    try withDirectory { directory in
      try #require(
        mount("floe-test", directory.string, "tmpfs", 0, "size=1m") == 0,
        "mounting a tmpfs: \(Errno(rawValue: errno))")
      defer { umount2(directory.string, Int32(MNT_DETACH)) }
      #expect {
        try write(to: try FileScratch(writing: directory.appending("image")), files: 20)
      } throws: { error in
        "\(error)" == "the directory \(directory) is full: No space left on device"
      }
      #expect(names(in: directory.string).isEmpty)
    }
  }

  @Test func onlyFilesThatNobodyElseReachesAreMapped() throws {
    try withDirectory { directory in
      let path = directory.appending("named")
      let options: FileDescriptor.OpenOptions = [.create, .exclusiveCreate]
      let named = try FileDescriptor.open(
        path, .readWrite, options: options, permissions: .ownerReadWrite)
      try named.writeAll([1, 2, 3])
      #expect {
        try MappedFile(descriptor: named)
      } throws: { error in
        "\(error)".contains("others can reach it by its name")
      }
      let again = try FileDescriptor.open(path, .readOnly)
      unlink(path.string)
      let mapped = try MappedFile(descriptor: again)
      #expect(Array(mapped.bytes) == [1, 2, 3])
    }
  }

  @Test func anEmptyFileAndADirectoryAreRefused() throws {
    try withDirectory { directory in
      let empty = try FileDescriptor.open(
        directory.appending("empty"), .readWrite, options: .create,
        permissions: .ownerReadWrite)
      unlink(directory.appending("empty").string)
      #expect(throws: MappedFileError.self) { try MappedFile(descriptor: empty) }
      let itself = try FileDescriptor.open(directory, .readOnly)
      #expect(throws: MappedFileError.self) { try MappedFile(descriptor: itself) }
    }
  }
}
