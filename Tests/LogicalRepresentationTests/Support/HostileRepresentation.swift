@testable import FrozenImage
@testable import LogicalRepresentation

/// A representation for the fuzzer's corpus: sound, or such as a hostile production host
/// would send, all checksums right.
struct HostileRepresentation {
  let name: String
  let note: String
  let isSound: Bool
  let bytes: [UInt8]

  /// ```
  /// 256/ ── a/ (257) ── deep/ (261)
  ///      ├─ b     (258, extents of every kind, two attributes)
  ///      └─ l     (259, symbolic link)
  /// ```
  /// Entries: 0 a, 1 b, 2 l (of the top), 3 deep. The heap begins with these names.
  private static func sound() throws -> [UInt8] {
    func child(_ name: String, _ type: FileType, _ inode: UInt64) -> TreeNode.Child {
      TreeNode.Child(name: Array(name.utf8), type: type, inode: inode, placeholder: nil)
    }
    var top = TreeNode(attributes: Sample.attributes(.directory, inode: 256), parent: 256)
    top.children = [
      child("a", .directory, 257), child("b", .regular, 258), child("l", .symbolicLink, 259),
    ]
    var sub = TreeNode(attributes: Sample.attributes(.directory, inode: 257), parent: 256)
    sub.children = [child("deep", .directory, 261)]
    var file = TreeNode(attributes: Sample.attributes(.regular, inode: 258, size: 40_000))
    let store = StoreID(rawValue: 0)
    file.add(FileExtent(offset: 0, length: 16, source: .inline(heapOffset: 0)))
    file.inline = [Array(repeating: 7, count: 16)]
    file.add(
      FileExtent(
        offset: 4096, length: 8192, source: .stored(StoreAddress(store: store, offset: 8192))))
    file.checksums = [4096: [1, 2, 3, 4], 8192: [5, 6, 7, 8]]
    file.add(FileExtent(offset: 16384, length: 4096, source: .unwritten))
    let run = CompressedRun(
      algorithm: .zstd, address: StoreAddress(store: store, offset: 16384), storedLength: 8192,
      decodedLength: 131_072, offset: 4096)
    file.add(
      FileExtent(offset: 20480, length: 12288, source: run.map { .compressed($0) } ?? .encoded))
    file.runChecksums[20480] = [1, 1, 1, 1, 2, 2, 2, 2]
    file.add(FileExtent(offset: 32768, length: 8192, source: .encoded))
    file.extendedAttributes = [Array("user.a".utf8): [1], Array("user.b".utf8): []]
    var link = TreeNode(attributes: Sample.attributes(.symbolicLink, inode: 259, size: 1))
    link.target = Array("b".utf8)
    let deep = TreeNode(attributes: Sample.attributes(.directory, inode: 261), parent: 257)
    return try represent([top, sub, file, link, deep], top: 256)
  }

  /// Every entry of the corpus.
  static func all() throws -> [HostileRepresentation] {
    let bytes = try sound()
    let sound = [
      HostileRepresentation(
        name: "sound", note: "a tree with everything that a file can have", isSound: true,
        bytes: bytes)
    ]
    return sound
      + (names + trees + extents + chains + counts).map { damage in
        var surgery = Surgery(bytes)
        damage.change(&surgery)
        surgery.seal()
        return HostileRepresentation(
          name: damage.name, note: damage.note, isSound: false, bytes: surgery.bytes)
      }
  }

  /// One way in which a file is hostile.
  private struct Damage {
    let name: String
    let note: String
    let change: (inout Surgery) -> Void

    init(_ name: String, _ note: String, _ change: @escaping (inout Surgery) -> Void) {
      self.name = name
      self.note = note
      self.change = change
    }
  }

  /// Byte offsets of fields of nodes.
  private enum Field {
    static let depth = 112
    static let attributeCount = 116
    static let parent = 120
    static let first = 128
    static let count = 136
  }

  private static func renamed(_ name: String, _ note: String, to bytes: [UInt8]) -> Damage {
    Damage(name, note) { surgery in
      surgery.put(UInt16(bytes.count), in: .entries, record: 1, at: 16)
      for (index, byte) in bytes.enumerated() {
        surgery.put(byte, at: surgery.offset(of: .heap) + 1 + index)
      }
    }
  }

  private static var names: [Damage] {
    [
      renamed("name-slash", "a name with a slash", to: Array("/".utf8)),
      renamed("name-nul", "a name with a NUL", to: [0]),
      renamed("name-dot", "the name .", to: Array(".".utf8)),
      renamed("name-dot-dot", "the name ..", to: Array("..".utf8)),
      renamed("name-empty", "an empty name", to: []),
      renamed("name-twice", "two equal names", to: Array("a".utf8)),
      Damage("name-long", "a name of 65535 bytes") {
        $0.put(UInt16.max, in: .entries, record: 1, at: 16)
      },
    ]
  }

  private static var trees: [Damage] {
    [
      Damage("cycle", "a directory that is its own child") {
        $0.put(UInt64(1), in: .entries, record: 3, at: 0)
        $0.put(UInt64(1), in: .nodes, record: 1, at: Field.parent)
      },
      Damage("cycle-of-two", "two directories that hold each other, apart from the top") {
        $0.put(UInt64(4), in: .nodes, record: 1, at: Field.parent)
        $0.put(UInt64(3), in: .nodes, record: 0, at: Field.count)
        $0.put(UInt64(2), in: .entries, record: 0, at: 0)
        $0.put(FileType.regular.rawValue, in: .entries, record: 0, at: 18)
      },
      Damage("two-parents", "two entries for one directory") {
        $0.put(UInt64(1), in: .entries, record: 1, at: 0)
        $0.put(FileType.directory.rawValue, in: .entries, record: 1, at: 18)
      },
      Damage("parent", "a parent that is no node") {
        $0.put(UInt64.max - 1, in: .nodes, record: 1, at: Field.parent)
      },
      Damage("depth", "a directory as deep as numbers go") {
        $0.put(UInt32.max, in: .nodes, record: 4, at: Field.depth)
      },
      Damage("link-long", "a symbolic link to 4096 bytes") {
        $0.put(UInt64(4096), in: .nodes, record: 3, at: Field.count)
      },
      Damage("link-bomb", "a symbolic link to 2^63 bytes") {
        $0.put(UInt64(1) << 63, in: .nodes, record: 3, at: Field.count)
      },
      Damage("link-place", "a symbolic link whose target ends behind 64 bits") {
        $0.put(UInt64.max, in: .nodes, record: 3, at: Field.first)
      },
    ]
  }

  private static var extents: [Damage] {
    [
      Damage("extent-overlap", "extents that overlap") {
        $0.put(UInt64(15), in: .extents, record: 1, at: 0)
      },
      Damage("extent-overflow", "an extent whose end overflows 64 bits") {
        $0.put(UInt64.max - 4095, in: .extents, record: 2, at: 0)
        $0.put(UInt64(4097), in: .extents, record: 2, at: 8)
      },
      Damage("extent-source", "an extent whose place overflows 64 bits") {
        $0.put(UInt64.max - 4095, in: .extents, record: 1, at: 16)
      },
      Damage("extent-outside", "an extent that leaves its store by a byte") {
        $0.put(Sample.storeSize - 8191, in: .extents, record: 1, at: 16)
      },
      Damage("extent-empty", "an extent without bytes") {
        $0.put(UInt64(0), in: .extents, record: 2, at: 8)
      },
      Damage("extent-heap", "inline bytes behind the heap's end") {
        $0.put(UInt64(1) << 62, in: .extents, record: 0, at: 16)
      },
      Damage("extent-shared", "a file that has another one's extents as well") {
        $0.put(UInt64(5), in: .nodes, record: 3, at: Field.count)
        $0.put(UInt32(0o100644), in: .nodes, record: 3, at: 88)
        $0.put(UInt64(0), in: .nodes, record: 3, at: Field.first)
        $0.put(FileType.regular.rawValue, in: .entries, record: 2, at: 18)
      },
      Damage("run-bomb", "a compressed run of 4 GiB") {
        $0.put(UInt32.max, in: .compressedRuns, record: 0, at: 12)
      },
    ]
  }

  private static var chains: [Damage] {
    [
      Damage("chain-loop", "a store that is made of itself") {
        $0.put(UInt32(0), in: .stripeTargets, record: 3, at: 8)
      },
      Damage("chain-nowhere", "a store made of one that is not there") {
        $0.put(UInt32(9), in: .stripeTargets, record: 3, at: 8)
      },
      Damage("chain-outside", "a store extent that leaves its medium by a byte") {
        $0.put(Sample.mediumSize / 2 + 1, in: .stripeTargets, record: 3, at: 0)
      },
      Damage("chain-overflow", "a store extent whose place overflows 64 bits") {
        $0.put(UInt64.max - 8, in: .stripeTargets, record: 0, at: 0)
      },
      Damage("chain-stripe", "stripes of no length") {
        $0.put(UInt64(0), in: .storeExtents, record: 1, at: 16)
      },
    ]
  }

  private static var counts: [Damage] {
    [
      Damage("count-sections", "four thousand million sections") { $0.put(UInt32.max, at: 40) },
      Damage("count-records", "2^61 nodes of 2^64 bytes in all") {
        let table = HeaderRecord.size + (Int(Section.nodes.rawValue) - 1) * SectionRecord.size
        $0.put(UInt64(1) << 61, at: table + 24)
      },
      Damage("count-entries", "a directory of 2^64 - 1 entries") {
        $0.put(UInt64.max, in: .nodes, record: 0, at: Field.count)
      },
      Damage("count-attributes", "a node with four thousand million attributes") {
        $0.put(UInt32.max, in: .nodes, record: 2, at: Field.attributeCount)
      },
      Damage("count-value", "an attribute of 4 GiB") {
        $0.put(UInt32.max, in: .extendedAttributes, record: 0, at: 16)
      },
      Damage("count-stores", "a volume of 2^64 - 1 stores") {
        $0.put(UInt64.max, in: .volumes, record: 0, at: 16)
      },
      Damage("count-targets", "a store extent of 2^64 targets") {
        $0.put(UInt32.max, in: .storeExtents, record: 0, at: 24)
        $0.put(UInt32.max, in: .storeExtents, record: 0, at: 28)
      },
      Damage("count-fragments", "a probe of four thousand million fragments") {
        $0.put(UInt32.max, in: .windows, record: 0, at: 12)
      },
      Damage("count-texts", "texts that are the whole heap, each again") { surgery in
        for field in stride(from: 80, to: 160, by: 16) {
          surgery.put(UInt64(0), in: .image, record: 0, at: field)
          surgery.put(UInt64(64), in: .image, record: 0, at: field + 8)
        }
      },
    ]
  }
}
