import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

/// Damage that checksums tell, and link targets as other programs store them.
@Suite("ext unreadable", .enabled(if: ExtPrivileges.haveTools))
struct ExtUnreadableTests {
  private func target(_ path: String, in described: DescribedExt) throws -> String {
    let bytes = try described.representation.symbolicLinkTarget(of: described.node(path))
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Where an inode lies in the image.
  private func place(ofInode path: String, in image: ExtImage) throws -> Int {
    // "Inode 12 is part of block group 0\n\tlocated at block 37, offset 0x0b00"
    let words = try image.debug("imap \(path)").split { " \n\t,".contains($0) }.map(String.init)
    let located = try #require(words.lastIndex(of: "block"))
    let offset = try #require(words.last).dropFirst(2)
    return try #require(Int(words[located + 1])) * 4096 + #require(Int(offset, radix: 16))
  }

  private func flip(_ image: ExtImage, at offset: Int) throws {
    let bytes = try contents(of: Array(image.path.utf8))
    try image.write([bytes[offset] ^ 0xFF], at: offset)
  }

  @Test func fastLinksAreKnownByTheirBlocks() throws {
    let image = try ExtImage(
      "mkfs.ext4", size: "16M", content: "ln -s short/target a; ln -s b b; echo 1 > f")
    try shell("debugfs -w -R 'sif /a flags 0x80000' \(image.path) 2>/dev/null")
    let described = try DescribedExt(try image.open())
    #expect(try described.representation.unreadableReasons() == [:])
    #expect(try target("a", in: described) == "short/target")
    #expect(try target("b", in: described) == "b")
  }

  /// Short targets in a block of their own, with and without extents, as the kernel reads
  /// them: by the count of blocks, up to the first NUL.
  @Test(arguments: ["mkfs.ext2 -b 4096 -O ^resize_inode", "mkfs.ext4 -b 4096 -O ^metadata_csum"])
  func shortTargetsInABlock(format: String) throws {
    let long = String(repeating: "s", count: 90)
    let image = try ExtImage(format, size: "16M", content: "ln -s \(long) a")
    let block = try #require(Int(image.debug("blocks /a").trimmed))
    try image.write(Array("short\0".utf8), at: block * 4096)
    try shell("debugfs -w -R 'sif /a size 5' \(image.path) 2>/dev/null")
    #expect(try target("a", in: DescribedExt(image.open())) == "short")
    try shell("debugfs -w -R 'sif /a size 50' \(image.path) 2>/dev/null")
    let described = try DescribedExt(image.open())
    #expect(try target("a", in: described) == "short")
    #expect(try described.representation.unreadableReasons() == [:])
  }

  @Test func anInodeWithAWrongChecksumIsThereAndUnknown() throws {
    let image = try ExtImage(
      "mkfs.ext4 -O metadata_csum -b 4096", size: "16M",
      content: "mkdir d; : > d/inner; echo 1 > f; echo 2 > g")
    try flip(image, at: place(ofInode: "/f", in: image) + 8)
    try flip(image, at: place(ofInode: "/d", in: image) + 8)
    let described = try DescribedExt(try image.open())
    let reasons = try described.representation.unreadableReasons()
    #expect(reasons.keys.sorted() == ["/d node", "/f node"])
    #expect(reasons.values.allSatisfy { $0.contains("checksum") }, "\(reasons)")
    #expect(try described.bytes(of: described.node("g"), in: 0..<1) == Array("2".utf8))
  }

  /// As the kernel shows it: the entries of all other blocks. The end is an error.
  @Test func aDamagedDirectoryBlockCostsItsEntries() throws {
    let image = try ExtImage(
      "mkfs.ext4 -O metadata_csum,^dir_index -b 4096", size: "16M",
      content:
        "mkdir d; i=100; while [ $i -lt 1300 ]; do : > d/file$i; i=$((i + 1)); done; echo 2 > g")
    let blocks = try image.debug("blocks /d").trimmed.split(separator: " ").compactMap { Int($0) }
    #expect(blocks.count > 2)
    try flip(image, at: blocks[1] * 4096 + 100)
    let described = try DescribedExt(try image.open())
    let reasons = try described.representation.unreadableReasons()
    #expect(
      reasons.keys.sorted() == ["/d content"] && reasons["/d content"]?.contains("checksum") == true
    )
    let directory = try described.node("d")
    var names = 0
    while (try? described.representation.entry(at: UInt64(names), of: directory)) != nil {
      names += 1
    }
    #expect((700..<1150).contains(names), "\(names)")
    #expect(try described.bytes(of: described.node("g"), in: 0..<1) == Array("2".utf8))
  }

  @Test func aDamagedBlockOfAttributesCostsThose() throws {
    let image = try ExtImage(
      "mkfs.ext4 -O metadata_csum -b 4096 -I 256", size: "16M",
      content: """
        echo content > f; setfattr -n user.near -v near f
        setfattr -n user.far -v $(head -c 300 /dev/zero | tr '\\0' x) f
        """)
    let line = try #require(
      image.debug("stat /f").split(separator: "\n").first { $0.contains("File ACL:") })
    let block = try #require(
      line.split(separator: " ").drop { $0 != "ACL:" }.dropFirst().first.flatMap { Int($0) })
    try #require(block > 0)
    try flip(image, at: block * 4096 + 4000)
    let described = try DescribedExt(try image.open())
    #expect(
      try described.representation.unreadableReasons().keys.sorted() == ["/f extendedAttributes"])
    let node = try described.node("f")
    #expect(try described.bytes(of: node, in: 0..<7) == Array("content".utf8))
    let near = try Array("user.near".utf8).withUnsafeBytes {
      try described.representation.extendedAttribute($0, of: node).map(Array.init)
    }
    #expect(near == Array("near".utf8))
  }
}
