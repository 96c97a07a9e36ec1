import FrozenImage
import Glibc
import LogicalRepresentation
import Testing

@testable import FileTrees

extension ExtTests {
  /// Where blocks lie, as e2fsprogs tells it.
  @Suite("ext mapping") struct MappingTests {
    @Test(arguments: [
      "mkfs.ext4", "mkfs.ext4 -b 1024", "mkfs.ext3 -b 1024", "mkfs.ext2",
      "mkfs.ext4 -O bigalloc -C 65536 -N 8000", "mkfs.ext4 -O ^extents,^64bit",
    ])
    func blocksLieWhereDebugfsSaysTheyDo(format: String) throws {
      let image = try ExtImage(format, size: "300M")
      try image.fill(TreeTests.content)
      let described = try DescribedExt(image.open())
      let blockSize = UInt64(described.fileSystem.statistics.blockSize)
      var unwritten = 0
      // Only extents know blocks that were never written.
      let hasExtents = format.hasPrefix("mkfs.ext4") && !format.contains("^extents")
      let names = ["alternating", "far", "left", "right", "hole", "b4097"]
      for name in names + (hasExtents ? ["preallocated", "kept"] : []) {
        let node = try described.node(name)
        let size = try described.representation.attributes(of: node).size
        let end = (size + blockSize - 1) / blockSize
        var told: [UInt64: Block] = [:]
        for extent in try described.representation.extents(of: node, in: 0..<end * blockSize) {
          #expect(extent.offset % blockSize == 0 && extent.length % blockSize == 0)
          for block in 0..<extent.length / blockSize {
            let logical = extent.offset / blockSize + block
            if case .stored(let address) = extent.source {
              told[logical] = .stored(address.offset / blockSize + block)
            } else {
              #expect(extent.source == .unwritten)
              told[logical] = .unwritten
            }
          }
        }
        let shown = try blocks(of: name, image).filter { $0.key < end }
        let isSame = told == shown
        #expect(isSame, "\(name)")
        unwritten += told.values.filter { $0 == .unwritten }.count
      }
      #expect((unwritten > 0) == hasExtents)
    }

    private enum Block: Hashable {
      case stored(UInt64)
      case unwritten
    }

    /// Reads "(0-11):5000-5011, (IND):5012, (12[u]):5013" of `debugfs stat`.
    private func blocks(of name: String, _ image: ExtImage) throws -> [UInt64: Block] {
      let text = try image.debug("stat /\(name)")
      let lists = text.split(separator: "\n").filter { $0.hasPrefix("(") }
      var blocks: [UInt64: Block] = [:]
      for list in lists {
        for item in list.split(separator: ",") {
          let parts = item.split(separator: ":")
          let isUnwritten = parts[0].contains("[u]")
          let logical = numbers(String(parts[0].replacing("[u]", with: "")))
          let physical = numbers(String(parts[1]))
          guard !logical.isEmpty else { continue }
          for position in 0...(logical[logical.count - 1] - logical[0]) {
            blocks[logical[0] + position] =
              isUnwritten ? .unwritten : .stored(physical[0] + position)
          }
        }
      }
      #expect(!blocks.isEmpty, "\(text)")
      return blocks
    }

    /// The numbers of "(12-15)"; none for "(IND)" and "(ETB0)".
    private func numbers(_ text: String) -> [UInt64] {
      if text.contains(where: { $0.isLetter }) { return [] }
      return text.split { !$0.isNumber }.compactMap { UInt64($0) }
    }
  }
}
