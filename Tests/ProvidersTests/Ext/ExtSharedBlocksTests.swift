import FrozenImage
import Testing

extension ExtTests {
  /// Images whose files share blocks, as e2fsdroid makes them for Android: the kernel does
  /// not know the feature and mounts them read-only.
  @Suite("ext shared blocks") struct SharedBlocksTests {
    private static let count = 64
    /// Bytes: 12 blocks and one indirect block of 1 KiB.
    private static let size = 268 << 10

    /// Makes many files of the blocks of one, more than the file system has.
    private func image() throws -> ExtImage {
      let image = try ExtImage(
        "mkfs.ext4 -b 1024 -N 256 -O ^metadata_csum,^extents,^64bit,^has_journal", size: "8M",
        content: """
          head -c \(Self.size) /dev/urandom >a; for i in $(seq \(Self.count)); do truncate -s \(Self.size) f$i; done
          """)
      let blocks = try (0..<12).map { try image.debug("bmap a \($0)").trimmed }
      let map = try image.debug("stat a")
      let indirect = try #require(
        map.split(separator: "(IND):").dropFirst().first?.prefix { $0.isNumber })
      try shell(
        """
        { echo feature shared_blocks; for i in $(seq \(Self.count)); do
        \(blocks.enumerated().map { "echo sif f$i block[\($0)] \($1)" }.joined(separator: "; "))
        echo sif f$i block[IND] \(indirect); echo sif f$i blocks 538; done; } >\(image.directory)/commands
        debugfs -w -f \(image.directory)/commands \(image.path) >/dev/null 2>&1
        """)
      #expect(try image.debug("features").contains("shared_blocks"))
      return image
    }

    @Test func asTheKernelReadsThem() throws {
      let image = try image()
      let described = try DescribedExt(image.open())
      let content = try described.bytes(of: described.node("a"), in: 0..<UInt64(Self.size))
      #expect(content.contains { $0 != 0 })
      for name in ["f1", "f17", "f\(Self.count)"] {
        let node = try described.node(name)
        #expect(try described.bytes(of: node, in: 0..<UInt64(Self.size)) == content)
      }
      try image.mounted("ro") {
        for name in ["a", "f17"] {
          let bytes = try contents(of: Array("\(image.mount)/\(name)".utf8))
          #expect(bytes == content)
        }
      }
    }

    /// Without the feature, blocks of several files are damage.
    @Test func onlyWithTheFeature() throws {
      let image = try image()
      try shell("debugfs -w -R 'feature -shared_blocks' \(image.path) >/dev/null 2>&1")
      let reasons = try DescribedExt(image.open()).representation.unreadableReasons()
      #expect(reasons.values.contains { $0.contains("more blocks than it has") }, "\(reasons)")
    }
  }
}
