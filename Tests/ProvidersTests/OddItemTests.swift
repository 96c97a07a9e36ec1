import FrozenImage
import Glibc
import Testing

@testable import BtrfsProvider

/// Items that no file system in good order has, in leaves whose checksums are right: they
/// cost what they stand for, and the rest is as the kernel shows it.
extension BtrfsTests {
  @Suite("btrfs odd items") struct OddItemTests {
    private static let content = """
      btrfs -q subvolume create data; cd data
      echo good > good; echo huge > huge; mkdir deep names slash; echo below > deep/below
      echo 1 > names/one; echo 2 > names/two; echo 3 > slash/a_b; echo 4 > slash/c
      mkdir packed; chattr +c packed; yes floe | head -c 3000 > packed/file
      head -c 9000 /dev/urandom > encoded; sync -f .
      """

    /// Where the payload of an item lies in its leaf: the first whose text holds all words.
    private func payload(_ leaf: BtrfsBlocks.Leaf, _ words: [String]) throws -> Int {
      let item = try #require(
        leaf.items.first { item in words.allSatisfy { item.contains($0) } }, "\(words)")
      let parts = item.split(separator: " ")
      let index = try #require(parts.firstIndex(of: "itemoff"))
      return try 0x65 + #require(Int(parts[index + 1]))
    }

    /// The inode number that a name leads to.
    private func inode(_ leaf: BtrfsBlocks.Leaf, _ name: String) throws -> String {
      let item = try #require(
        leaf.items.first { $0.contains(" DIR_INDEX ") && $0.hasSuffix("name: \(name)") })
      let start = try #require(item.split(separator: "\n").dropFirst().first)
      return String(try #require(start.split(separator: "(").last?.split(separator: " ").first))
    }

    @Test func costWhatTheyStandFor() throws {
      let volume = try LoopVolume()
      try shell("cd \(volume.mount)\n" + Self.content)
      try volume.unmounted {
        let blocks = BtrfsBlocks(device: volume.devices[0])
        let leaves = try blocks.leaves(of: "256")
        try #require(leaves.count == 1)
        let leaf = leaves[0]
        let huge = try payload(leaf, ["key (\(inode(leaf, "huge")) INODE_ITEM 0) itemoff"])
        let deep = try payload(leaf, ["key (\(inode(leaf, "deep")) INODE_ITEM 0) itemoff"])
        let packed = try payload(leaf, ["(\(inode(leaf, "file")) EXTENT_DATA 0)"])
        let encoded = try payload(leaf, ["(\(inode(leaf, "encoded")) EXTENT_DATA 0)"])
        let two = try payload(leaf, [" DIR_INDEX ", "name: two"])
        let slash = try payload(leaf, [" DIR_INDEX ", "name: a_b"])
        // The names follow the 30 bytes of an entry.
        try blocks.change(leaf.address, sealed: true) { block in
          // The most significant bytes of the sizes.
          block[huge + 23] = 0x80
          block[deep + 23] = 0x80
          for index in 0..<8 { block[packed + 21 + index] = 0xFF }
          block[encoded + 18] = 1
          block.replaceSubrange(two + 30..<two + 33, with: Array("one".utf8))
          block[slash + 31] = UInt8(ascii: "/")
        }
      }
      let image = try DescribedImage(volume.path("data"))
      let reasons = try image.representation.unreadableReasons()
      #expect(
        Set(reasons.keys) == [
          "/huge node", "/deep node", "/packed/file content", "/names content", "/slash content",
        ], "\(reasons)")
      #expect(reasons["/huge node"]?.contains("size") == true, "\(reasons)")
      let top = image.frozen.snapshotPath
      let reader = try reader(of: image)
      for file in try image.readableFiles()
      where file.text != "/packed/file" && file.text != "/huge" {
        let expected = try contents(of: Array((top + file.text).utf8))
        #expect(
          try reader.bytes(of: file.node, at: 0, count: 10_000) == expected, "\(file.text)")
      }
      #expect(
        try Set(image.readableFiles().map(\.text)).isSuperset(of: ["/good", "/encoded", "/slash/c"])
      )
    }
  }
}
