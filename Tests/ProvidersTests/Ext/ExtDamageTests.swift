import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import DataSets
@testable import FileTrees
@testable import VolumeLayers

/// Damaged and malicious file systems: one sentence, whatever the bytes are.
@Suite("ext damage", .enabled(if: ExtPrivileges.haveTools))
struct ExtDamageTests {
  private func refusal(_ image: ExtImage) -> String {
    do {
      _ = try DescribedExt(try image.open())
      return "nothing was refused"
    } catch {
      return "\(error)"
    }
  }

  private func expectRefusal(
    _ image: ExtImage, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let sentence = refusal(image)
    for word in words {
      #expect(sentence.contains(word), "\(sentence)", sourceLocation: sourceLocation)
    }
  }

  @Test func everyByteOfAChecksummedSuperblockCounts() throws {
    let image = try ExtImage("mkfs.ext4 -O metadata_csum", size: "16M")
    let bytes = try contents(of: Array(image.path.utf8))
    for offset in 1024..<2048 {
      var damaged = bytes
      damaged[offset] ^= UInt8(1 << (offset % 8))
      let layer = Layer(MemoryMedium(path: "damaged", bytes: damaged))
      #expect(throws: StackError.self, "byte \(offset)") { try ExtFileSystem(on: layer) }
    }
  }

  @Test func featuresThatCannotBeReadAreNamed() throws {
    let image = try ExtImage("mkfs.ext4 -O ^metadata_csum,^64bit", size: "16M")
    try image.write([0x01 | 0x40 | 0x02, 0x12, 0x10], at: 1024 + 0x60)
    expectRefusal(image, "features that cannot be read: compression, dirdata, FEATURE_I20")
  }

  @Test func recordedErrorsAreRefused() throws {
    let image = try ExtImage("mkfs.ext4", size: "16M")
    try shell("debugfs -w -R 'set_super_value state 3' \(image.path) 2>/dev/null")
    expectRefusal(image, "recorded errors", "e2fsck -f")
  }

  @Test func anImageThatWasCutIsRefused() throws {
    let image = try ExtImage("mkfs.ext4", size: "16M")
    try shell("truncate -s 12M \(image.path)")
    expectRefusal(image, "more than the 12582912 bytes")
    try shell("truncate -s 1500 \(image.path)")
    expectRefusal(image, "holds no ext2, ext3 or ext4")
    try shell("truncate -s 0 \(image.path); truncate -s 1M \(image.path)")
    expectRefusal(image, "holds no ext2, ext3 or ext4")
  }

  /// Each by the tool that knows how: the path and the part that cannot be read, why, and
  /// that nothing else is touched.
  @Test(arguments: [
    ("clri /d/one", "/d/one node", "deleted inode"),
    ("ln /d /d/e/loop", "/d/e content", "a directory that another entry leads to"),
    ("ln <8> /journal", "/ content", "leads to inode 8"),
    ("sif /d/two block[0] 100000", "/d/two content", "does not exist"),
    ("sif /d/e block[0] 0x2FF0000", "/d/e content", "does not exist"),
    ("sif /d/two mode 0", "/d/two node", "deleted inode"),
    ("sif /d/two mode 0150644", "/d/two node", "names no file type"),
    ("sif /d/two mode 040644", "/d/two node", "its entry says something else"),
    ("sif /d/link size 5000", "/d/link content", "has no target"),
    ("sif /d/short block[0] 0", "/d/short content", "has no target"),
    ("sif /d/attributes file_acl 0x2FF0000", "/d/attributes extendedAttributes", "does not exist"),
  ])
  func damageIsNamedAndCostsNoMore(request: String, place: String, words: String) throws {
    let image = try ExtImage(
      "mkfs.ext2 -b 1024", size: "16M",
      content: """
        mkdir -p d/e d/f; echo 1 > d/one; head -c 9000 /dev/urandom > d/two; echo 3 > d/e/three
        ln -s $(head -c 90 /dev/zero | tr '\\0' s) d/link; ln -s short d/short
        echo a > d/attributes; echo safe > d/f/safe
        """)
    let before = try contents(of: Array(image.path.utf8))
    try shell("debugfs -w -f /dev/stdin \(image.path) >/dev/null 2>&1 <<'END'\n\(request)\nEND")
    let isDamaged = try contents(of: Array(image.path.utf8)) != before
    #expect(isDamaged)
    let described = try DescribedExt(try image.open())
    let reasons = try described.representation.unreadableReasons()
    #expect(reasons.keys.sorted() == [place], "\(reasons)")
    #expect(reasons[place]?.contains(words) == true, "\(reasons)")
    #expect(try described.bytes(of: described.node("d/f/safe"), in: 0..<5) == Array("safe\n".utf8))
  }

  /// What directories call a directory may be something else: the inode counts.
  @Test func theInodeSaysWhatANodeIs() throws {
    let image = try ExtImage("mkfs.ext2 -b 1024", size: "16M", content: "mkdir d; : > d/f")
    try shell("debugfs -w -R 'sif /d mode 0100644' \(image.path) 2>/dev/null")
    let described = try DescribedExt(try image.open())
    #expect(try described.representation.attributes(of: described.node("d")).type == .regular)
    #expect(try described.representation.unreadableReasons() == [:])
  }

  @Test func blocksOfTwoDirectoriesAreOfOne() throws {
    let image = try ExtImage("mkfs.ext2 -b 1024", size: "16M", content: "mkdir d e; : > d/f")
    let block = try image.debug("blocks /d").trimmed
    try shell("debugfs -w -R 'sif /e block[0] \(block)' \(image.path) 2>/dev/null")
    let described = try DescribedExt(try image.open())
    let reasons = try described.representation.unreadableReasons()
    #expect(reasons.count == 1)
    #expect(reasons.values.first?.contains("belongs to two directories") == true, "\(reasons)")
  }

  /// A block of block numbers that names itself 256 times on each of three levels.
  @Test func aMapWithoutEndIsCutOff() throws {
    let image = try ExtImage(
      "mkfs.ext2 -b 1024", size: "16M",
      content: "head -c 2000 /dev/urandom > file; echo 1 > other")
    let blocks = try image.debug("blocks /file").trimmed.split(separator: " ")
    let block = try #require(UInt32(blocks[1]))
    let number = withUnsafeBytes(of: block.littleEndian) { Array($0) }
    try image.write((0..<256).flatMap { _ in number }, at: Int(block) * 1024)
    try shell(
      """
      debugfs -w -f /dev/stdin \(image.path) >/dev/null 2>&1 <<'END'
      sif /file block[TIND] \(block)
      sif /file size 17000000000
      END
      """)
    let described = try DescribedExt(try image.open())
    let reasons = try described.representation.unreadableReasons()
    #expect(reasons["/file content"]?.contains("have more blocks than it has") == true)
    #expect(reasons.count == 1)
    // What comes before is there, and the rest is not shown as a hole.
    let node = try described.node("file")
    let size = try described.representation.attributes(of: node).size
    let extents = try described.representation.extents(of: node, in: 0..<size)
    #expect(extents.last?.source == .unreadable && extents.last?.end == size)
  }

  @Test(arguments: [
    "mkfs.ext4 -O ^metadata_csum,^uninit_bg,^64bit,inline_data,ea_inode",
    "mkfs.ext2 -b 1024", "mkfs.ext4 -O metadata_csum -b 1024", "mkfs.ext3 -b 1024 -I 128",
  ])
  func randomDamageNeverTraps(format: String) throws {
    let image = try ExtImage(
      format + " -N 600", size: "8M",
      content: ExtImageFileTests.content + "\nsetfattr -n user.a -v b one; rm sparse")
    let bytes = try contents(of: Array(image.path.utf8))
    let isWritten = stride(from: 0, to: bytes.count, by: 1024).filter { start in
      bytes[start..<start + 1024].contains { $0 != 0 }
    }
    let seed = UInt64.random(in: 0 ... .max)
    var random = DamageGenerator(state: seed)
    var found = 0
    for _ in 0..<150 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...30, using: &random) {
        // Structures are at the front of blocks, and of the image.
        let block = isWritten[Int.random(in: 0..<isWritten.count, using: &random)]
        let reach = Bool.random(using: &random) ? 64 : 1024
        let offset = block + Int.random(in: 0..<reach, using: &random)
        damaged[offset] =
          Bool.random(using: &random)
          ? UInt8.random(in: 0...255, using: &random) : damaged[offset] ^ 1 << 7
      }
      let layer = Layer(MemoryMedium(path: "damaged", bytes: damaged))
      do {
        let fileSystem = try ExtFileSystem(on: layer)
        readSomething(of: fileSystem)
        let described = try DescribedExt(fileSystem)
        if described.representation.unreadableCount > 0 { found += 1 }
      } catch {
        found += 1
        #expect(error is StackError || error is RepresentationWriterError, "seed \(seed): \(error)")
      }
    }
    #expect(found > 10, "seed \(seed)")
  }

  /// Whatever is read, nothing must trap.
  private func readSomething(of fileSystem: ExtFileSystem) {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 1)
    defer { room.deallocate() }
    for inode in [0, 2, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 599, UInt64.max] {
      for offset in [0, 100_000, UInt64.max] {
        _ = try? fileSystem.read(inode: inode, offset: offset, into: room)
      }
    }
  }
}

/// splitmix64 (G. L. Steele, D. Lea, C. H. Flood, 2014): repeatable.
private struct DamageGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
