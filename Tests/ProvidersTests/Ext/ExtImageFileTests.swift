import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import FileTrees
@testable import VolumeLayers

/// File systems in image files, for which nobody needs to be root.
@Suite("ext image files", .enabled(if: ExtPrivileges.haveTools))
struct ExtImageFileTests {
  static let content = """
    mkdir -p d/e; : > empty; printf x > one; head -c 100 /dev/urandom > d/small
    head -c 300000 /dev/urandom > d/e/large; ln one d/hard; ln -s ../one d/link
    ln -s $(head -c 200 /dev/zero | tr '\\0' s) d/longlink; mkfifo fifo; chmod 640 one
    head -c 8192 /dev/urandom | dd of=sparse bs=4096 seek=500 status=none
    i=0; while [ $i -lt 400 ]; do echo $i > d/e/file$i; i=$((i + 1)); done
    """
  static let formats = [
    "mkfs.ext4", "mkfs.ext4 -b 1024 -O inline_data", "mkfs.ext3", "mkfs.ext2 -b 1024",
    "mkfs.ext4 -O casefold -E encoding=utf8", "mkfs.ext4 -O ^metadata_csum,^uninit_bg,inline_data",
  ]

  @Test(arguments: formats) func aDirectoryThatWasCopiedInIsFound(format: String) throws {
    let image = try ExtImage(
      "\(format) -L floe -U 12345678-1234-4abc-8def-123456789abc", size: "32M",
      content: Self.content)
    let described = try DescribedExt(image.open())
    #expect(described.fileSystem.label == "floe")
    #expect(described.fileSystem.id.description == "12345678-1234-4abc-8def-123456789abc")
    let source = image.directory + "/content"
    let listing = "cd \(source); find . -type"
    for name in try shell("\(listing) f").split(separator: "\n").map(String.init) {
      let node = try described.node(String(name.dropFirst(2)))
      let expected = try contents(of: Array("\(source)/\(name)".utf8))
      let attributes = try described.representation.attributes(of: node)
      #expect(attributes.size == UInt64(expected.count), "\(name)")
      let found = try described.bytes(of: node, in: 0..<attributes.size)
      expectSame(found, expected, name)
      expectSame(
        try read(described, attributes.inode, expected.count + 10), expected, "reading \(name)")
    }
    for name in ["d/link", "d/longlink"] {
      let target = try described.representation.symbolicLinkTarget(of: described.node(name))
      #expect(
        String(decoding: target, as: UTF8.self) == (try shell("readlink \(source)/\(name)")).trimmed
      )
    }
    let one = try described.representation.attributes(of: described.node("one"))
    #expect(one.links == 2 && one.mode & 0o7777 == 0o640)
    #expect(try described.node("one") == described.node("d/hard"))
  }

  private func read(_ described: DescribedExt, _ inode: UInt64, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: count)
    let length = try bytes.withUnsafeMutableBytes {
      try described.fileSystem.read(inode: inode, offset: 0, into: $0)
    }
    return Array(bytes[..<length])
  }

  /// Halves that changed places, on two media, a part that only the decoder reads, and
  /// one that reads as zeros.
  @Test func anyLayerWillDo() throws {
    let image = try ExtImage("mkfs.ext4", size: "32M", content: Self.content)
    var bytes = try contents(of: Array(image.path.utf8))
    let plain = try DescribedExt(image.open())
    let large = try plain.node("d/e/large")
    let extent = try #require(try plain.representation.extents(of: large, in: 0..<300_000).first)
    guard case .stored(let place) = extent.source else {
      Issue.record("\(extent)")
      return
    }
    let coded = place.offset + 8192..<place.offset + 40960
    let zeros = place.offset + 65536..<place.offset + 77824
    bytes.replaceSubrange(
      Int(zeros.lowerBound)..<Int(zeros.upperBound), with: repeatElement(0, count: zeros.count))
    let size = UInt64(bytes.count)
    let middle = size / 2
    var hidden = bytes
    for range in [coded, zeros] {
      hidden.replaceSubrange(
        Int(range.lowerBound)..<Int(range.upperBound), with: repeatElement(0xEE, count: range.count)
      )
    }
    let media = [
      Layer(MemoryMedium(path: "second", bytes: Array(hidden[Int(middle)...]))),
      Layer(MemoryMedium(path: "first", bytes: Array(hidden[..<Int(middle)]))),
    ]
    var cuts = [
      0, middle, size, coded.lowerBound, coded.upperBound, zeros.lowerBound, zeros.upperBound,
    ]
    cuts.sort()
    let runs = zip(cuts, cuts.dropFirst()).map { start, end in
      if start == coded.lowerBound { return LayerRun(start..<end, .encoded) }
      if start == zeros.lowerBound { return LayerRun(start..<end, .zeros) }
      let isFirst = start < middle
      return LayerRun.linear(
        start..<end,
        at: LayerAddress(layer: isFirst ? 1 : 0, offset: isFirst ? start : start - middle))
    }
    let layer = Layer(
      try LayerMap(
        title: "halves", size: size, lower: media, runs: runs, decoder: CopyDecoder(bytes: bytes)))
    try expectConformance(of: layer, to: bytes)
    let described = try DescribedExt(ExtFileSystem(on: layer))
    let node = try described.node("d/e/large")
    let kinds = try described.representation.extents(of: node, in: 0..<300_000).map(\.source)
    #expect(kinds.contains(.encoded) && kinds.contains(.unwritten))
    var expected = try contents(of: Array("\(image.directory)/content/d/e/large".utf8))
    let hole = Int(extent.offset) + 65536..<Int(extent.offset) + 77824
    expected.replaceSubrange(hole, with: repeatElement(0, count: hole.count))
    expectSame(try described.bytes(of: node, in: 0..<300_000), expected, "extents")
    let inode = try described.representation.attributes(of: node).inode
    expectSame(try read(described, inode, 300_000), expected, "reading")
  }
}
