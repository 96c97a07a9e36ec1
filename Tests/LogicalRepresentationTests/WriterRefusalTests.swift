import FrozenImage
import LogicalRepresentation
import SeededNumbers
import Testing

/// What the writer refuses, each with one sentence.
@Suite struct WriterRefusalTests {
  private func expect(
    _ words: String, location: SourceLocation = #_sourceLocation,
    _ steps: (inout RepresentationWriter) throws -> Void
  ) {
    do {
      let scratch = ArrayScratch()
      var writer = try RepresentationWriter(
        image: Sample.image(), volumes: [Sample.volume()], scratch: scratch)
      try steps(&writer)
      try writer.finish(rootInode: 256, rootName: "data")
      Issue.record("it was written: \(words)", sourceLocation: location)
    } catch {
      #expect("\(error)".contains(words), sourceLocation: location)
    }
  }

  @Test func theTree() {
    expect("inode 256: the top directory is not there") { _ in }
    expect("inode 256: the top directory is not there") {
      try $0.beginNode(Sample.attributes(.regular, inode: 256))
      try $0.endNode()
    }
    expect("inode 256: it was not ended") {
      try $0.beginNode(Sample.attributes(.directory, inode: 256))
    }
    expect("inode 255: it comes after inode 256") {
      try $0.directory(256)
      try $0.beginNode(Sample.attributes(.directory, inode: 255))
    }
    expect("inode 256: its link count is 0") {
      try $0.beginNode(Sample.attributes(.directory, inode: 256, links: 0))
    }
    expect("directory 256: its entry \"x\" leads to inode 300, which is not there") {
      try $0.directory(256, ("x", .regular, 300))
    }
    expect("directory 256: its entry \"y\" is the second one for directory 257") {
      try $0.directory(256, ("x", .directory, 257), ("y", .directory, 257))
      try $0.directory(257)
    }
    expect("directory 257: its entry \"up\" leads to the top directory") {
      try $0.directory(256, ("x", .directory, 257))
      try $0.directory(257, ("up", .directory, 256))
    }
    expect("directory 257: no entry leads to it") {
      try $0.directory(256)
      try $0.directory(257)
    }
    expect("it lies below itself") {
      try $0.directory(256)
      try $0.directory(257, ("x", .directory, 258))
      try $0.directory(258, ("x", .directory, 257))
    }
  }

  @Test func names() {
    expect("inode 256: it has an entry \"x\" and is not a directory") { writer in
      try writer.beginNode(Sample.attributes(.regular, inode: 256))
      try [0x78].lend { try writer.addEntry(name: $0, inode: 257, type: .regular) }
    }
  }

  @Test func extents() {
    let place = FileExtent.Source.stored(StoreAddress(store: StoreID(rawValue: 0), offset: 0))
    let far = FileExtent.Source.stored(
      StoreAddress(store: StoreID(rawValue: 0), offset: Sample.storeSize - 4095))
    expect("store 0 does not map the 4096 bytes at") {
      try $0.file(FileExtent(offset: 0, length: 4096, source: far))
    }
    expect("the extent at 4095 overlaps the one before, which ends at 4096") {
      try $0.file(
        FileExtent(offset: 0, length: 4096, source: place),
        FileExtent(offset: 4095, length: 4096, source: .unwritten))
    }
    expect("the extent at 0 has 0 bytes") {
      try $0.file(FileExtent(offset: 0, length: 0, source: .encoded))
    }
    expect("the extent at 9223372036854775807 has 2 bytes") {
      try $0.file(FileExtent(offset: UInt64(Int64.max), length: 2, source: .encoded))
    }
    expect("an inline extent came without its bytes") {
      try $0.file(FileExtent(offset: 0, length: 2, source: .inline(heapOffset: 0)))
    }
    expect("the extent at 0 has 4096 bytes and 3 bytes of checksums") { writer in
      try writer.beginNode(Sample.attributes(.regular, inode: 256))
      try [1, 2, 3].lend {
        try writer.addExtent(
          FileExtent(offset: 0, length: 4096, source: place), checksums: $0)
      }
    }
    let run = CompressedRun(
      algorithm: .zlib, address: StoreAddress(store: StoreID(rawValue: 0), offset: 0),
      storedLength: 4096, decodedLength: 8192, offset: 4096)
    expect("the compressed run of the extent at 0 decodes to too few bytes") {
      try $0.file(
        FileExtent(offset: 0, length: 4097, source: run.map { .compressed($0) } ?? .encoded))
    }
    let outside = CompressedRun(
      algorithm: .zlib,
      address: StoreAddress(store: StoreID(rawValue: 0), offset: Sample.storeSize - 4095),
      storedLength: 4096, decodedLength: 8192, offset: 0)
    expect("store 0 does not map the 4096 compressed bytes at") {
      try $0.file(
        FileExtent(offset: 0, length: 4096, source: outside.map { .compressed($0) } ?? .encoded))
    }
    expect("it has an extent and is not a regular file") { writer in
      try writer.beginNode(Sample.attributes(.fifo, inode: 256))
      try writer.addExtent(
        FileExtent(offset: 0, length: 4096, source: place), checksums: nil)
    }
    expect("3 inline bytes stand for 2") { writer in
      try writer.beginNode(Sample.attributes(.regular, inode: 256))
      try [1, 2, 3].lend { try writer.addInline(offset: 0, length: 2, bytes: $0) }
    }
  }

  @Test func unreadableParts() {
    expect("a node: it was not begun") { try $0.markUnreadable(.content, reason: "why") }
    expect("an unreadable extent came without a reason") {
      try $0.file(FileExtent(offset: 0, length: 2, source: .unreadable))
    }
    expect("the top directory, inode 256: why") {
      try $0.addUnreadableNode(inode: 256, type: .directory, reason: "why")
    }
  }
}

extension RepresentationWriter {
  /// A whole directory.
  fileprivate mutating func directory(
    _ inode: UInt64, _ children: (name: String, type: FileType, inode: UInt64)...
  ) throws {
    try beginNode(Sample.attributes(.directory, inode: inode))
    for child in children {
      try Array(child.name.utf8).lend {
        try addEntry(name: $0, inode: child.inode, type: child.type)
      }
    }
    try endNode()
  }

  /// A file's extents, without checksums.
  fileprivate mutating func file(_ extents: FileExtent...) throws {
    try beginNode(Sample.attributes(.regular, inode: 256))
    for extent in extents { try addExtent(extent, checksums: nil) }
  }
}
