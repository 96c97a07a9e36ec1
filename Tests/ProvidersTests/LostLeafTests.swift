import FrozenImage
import Glibc
import HostSystem
import Testing

@testable import BtrfsProvider
@testable import LogicalRepresentation

/// A leaf of a tree that is lost on every device costs what is in it, and nothing else.
extension BtrfsTests {
  @Suite("btrfs lost leaves") struct LostLeafTests {
    /// 40 directories with 20 files each, of which every other one has an extent of its own.
    private static let content = """
      btrfs -q subvolume create data; cd data; i=0
      while [ $i -lt 40 ]; do
        mkdir d$i; j=0
        while [ $j -lt 20 ]; do
          if [ $((j % 2)) = 0 ]; then echo "file $i $j" > d$i/f$j
          else head -c 9000 /dev/urandom > d$i/f$j; fi
          setfattr -n user.name -v $i.$j d$i/f$j; ln -s target d$i/l$j; j=$((j + 1))
        done; i=$((i + 1))
      done; echo last > last; sync -f .
      """

    private func volume(_ content: String = content) throws -> LoopVolume {
      let volume = try LoopVolume()
      try shell("cd \(volume.mount)\n" + content)
      return volume
    }

    private func tree(_ volume: LoopVolume) throws -> String {
      let shown = try shell("btrfs subvolume show \(volume.path("data"))")
      let line = shown.split(separator: "\n").first { $0.contains("Subvolume ID") }
      return try #require(line?.split(separator: "\t").last.map(String.init)).trimmed
    }

    /// What a look at a path gave the kernel: a file's bytes, or that it cannot be read.
    private struct Seen {
      var good: [String: [UInt8]] = [:]
      var bad: Set<String> = []
    }

    /// Reads all files of a snapshot through the kernel that it gives.
    private func kernelsView(_ top: String) throws -> Seen {
      var seen = Seen()
      for directory in [""] + (0..<40).map({ "/d\($0)" }) {
        let names =
          directory.isEmpty ? ["last"] : (0..<20).map { "f\($0)" }
        for name in names {
          let path = "\(directory)/\(name)"
          var status = stat()
          let size = lstat(top + path, &status) == 0 ? Int(status.st_size) : nil
          // What fails in the middle is shorter.
          if let size, let bytes = try? contents(of: Array((top + path).utf8)), bytes.count == size
          {
            seen.good[path] = bytes
          } else {
            seen.bad.insert(path)
          }
        }
      }
      return seen
    }

    /// Every file that the kernel gives is in the image, and reads the same.
    ///
    /// - Returns: how many of the files are not.
    private func compare(_ image: DescribedImage, with seen: Seen) throws -> Int {
      let reader = try reader(of: image)
      var there: Set<String> = []
      for file in try image.readableFiles() {
        guard let expected = seen.good[file.text] else { continue }
        there.insert(file.text)
        #expect(
          try reader.bytes(of: file.node, at: 0, count: max(expected.count, 1)) == expected,
          "\(file.text)")
      }
      // The kernel looks names up in another index, so it may find a file whose entry in the
      // list of its directory is lost; the list ends with an error then.
      for path in seen.good.keys where !there.contains(path) {
        let directory = path.split(separator: "/").dropLast().joined(separator: "/")
        let node = try Array(directory.utf8).withUnsafeBytes {
          try image.representation.lookup($0, in: image.representation.roots[0].node)
        }
        #expect(
          try image.representation.unreadableReason(of: try #require(node), .content) != nil
            || image.representation.unreadableReason(of: try #require(node), .node) != nil,
          "\(path)")
      }
      return seen.good.count - there.count + seen.bad.count
    }

    @Test(arguments: [1, 2, 3]) func ofASubvolume(run: Int) throws {
      let volume = try volume()
      let id = try tree(volume)
      var lostKeys = 0
      try volume.unmounted {
        let blocks = BtrfsBlocks(device: volume.devices[0])
        let leaves = try blocks.leaves(of: id)
        try #require(leaves.count > 8)
        // One, two that follow each other, two apart.
        let chosen = [[leaves.count / 2], [3, 4], [2, leaves.count - 2]][run - 1]
        for index in chosen {
          lostKeys += leaves[index].items.count
          try blocks.destroy(leaves[index].address)
        }
      }
      let image = try DescribedImage(volume.path("data"))
      let reasons = try image.representation.unreadableReasons()
      #expect(!reasons.isEmpty && reasons.count <= lostKeys)
      #expect(reasons.allSatisfy { $0.value.contains("cannot be read, keys (") }, "\(reasons)")
      let missing = try compare(image, with: kernelsView(image.frozen.snapshotPath))
      #expect(missing > 0 && missing < 800 / 4)
      #expect(!reasons.keys.contains { $0.hasPrefix("- ") }, "\(reasons.keys)")
    }

    /// Files have all, none or some of their checksums in the leaf.
    @Test func ofTheChecksums() throws {
      let volume = try volume(Self.content + "; head -c 60M /dev/urandom > last; sync -f .")
      try volume.unmounted {
        let blocks = BtrfsBlocks(device: volume.devices[0])
        let leaves = try blocks.leaves(of: "7")
        try #require(leaves.count > 2)
        try blocks.destroy(leaves[leaves.count - 2].address)
      }
      let image = try DescribedImage(volume.path("data"))
      let seen = try kernelsView(image.frozen.snapshotPath)
      #expect(!seen.bad.isEmpty && seen.good.count >= 400, "\(seen.bad)")
      let reasons = try image.representation.unreadableReasons()
      #expect(Set(reasons.keys) == Set(seen.bad.map { "\($0) content" }))
      #expect(try compare(image, with: seen) == seen.bad.count)
      // A part that the kernel reads is read.
      let last = try #require(image.readableFiles().first { $0.text == "/last" })
      let start = try reader(of: image).bytes(of: last.node, at: 0, count: 8192)
      #expect(
        try start.map { String($0) }.joined(separator: " ")
          == shell(
            "head -c 8192 \(image.frozen.snapshotPath)/last | od -An -v -tu1 -w8192"
          ).split(separator: " ").joined(separator: " ").trimmed)
    }

    /// An entry without its inode, and a directory without an entry, are no reason to refuse.
    @Test func entriesAndInodesThatDoNotMatch() throws {
      let volume = try volume(
        """
        btrfs -q subvolume create data; cd data
        mkdir a a/b; echo deep > a/b/f; echo lost > lost; echo good > good; sync -f .
        """)
      let id = try tree(volume)
      try volume.unmounted {
        let blocks = BtrfsBlocks(device: volume.devices[0])
        let leaves = try blocks.leaves(of: id)
        try #require(leaves.count == 1)
        // The index items of "a" and "lost" lead to inodes that are not there.
        let places = try ["a", "lost"].map { name in
          let item = try #require(
            leaves[0].items.first {
              $0.contains("DIR_INDEX") && $0.hasSuffix("name: \(name)")
            })
          let words = item.split(separator: " ")
          let offset = try #require(words.firstIndex(of: "itemoff")).advanced(by: 1)
          return try #require(Int(words[offset]))
        }
        try blocks.change(leaves[0].address, sealed: true) { block in
          for place in places { block[0x65 + place] &+= 100 }
        }
      }
      let image = try DescribedImage(volume.path("data"))
      let reasons = try image.representation.unreadableReasons()
      #expect(Set(reasons.keys) == ["/a node", "/lost node"], "\(reasons)")
      #expect(try image.readableFiles().map(\.text) == ["/good"])
    }
  }
}
