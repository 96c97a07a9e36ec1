@testable import FrozenImage
@testable import LogicalRepresentation

/// Changes bytes of a representation and, if wanted, makes its checksums right again,
/// as somebody would who means harm.
struct Surgery {
  private(set) var bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  private func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> T {
    bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  /// Bytes from the start of the representation, of a record of a section.
  func offset(of section: Section, record: Int = 0) -> Int {
    // Sections that there need not be may be missing before it.
    let entries = (0..<Int(load(40) as UInt32)).map {
      HeaderRecord.size + $0 * SectionRecord.size
    }
    let entry = entries.first { load($0) == section.rawValue } ?? 0
    let start: UInt64 = load(entry + 8)
    return Int(start) + record * section.recordSize
  }

  /// Overwrites a field of a record.
  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, in section: Section, record: Int, at field: Int
  ) {
    put(value, at: offset(of: section, record: record) + field)
  }

  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
    withUnsafeBytes(of: value.littleEndian) {
      bytes.replaceSubrange(offset..<offset + $0.count, with: $0)
    }
  }

  mutating func flip(_ offset: Int, _ bits: UInt8) { bytes[offset] ^= bits }

  /// Makes all checksums right, as far as the sections lie inside the bytes.
  mutating func seal() {
    let count = min(Int(load(40) as UInt32), Format.maximumSections)
    let table = HeaderRecord.size..<HeaderRecord.size + count * SectionRecord.size
    guard table.upperBound <= bytes.count else { return }
    for entry in stride(from: table.lowerBound, to: table.upperBound, by: SectionRecord.size) {
      let start: UInt64 = load(entry + 8)
      let length: UInt64 = load(entry + 16)
      let (end, overflow) = start.addingReportingOverflow(length)
      guard !overflow, end <= UInt64(bytes.count) else { continue }
      put(checksum(Int(start)..<Int(end)), at: entry + 32)
    }
    put(checksum(table), at: 44)
    put(checksum(0..<60), at: 60)
  }

  private func checksum(_ range: Range<Int>) -> UInt32 {
    bytes.lend { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// Opens and checks what came of it.
  func check() throws(RepresentationError) {
    try Representation(ArrayRegion(bytes)).check()
  }
}

extension Representation {
  /// Asks everything that can be asked of every node, whatever the answers are.
  func askEverything() {
    let names = ["", "a", "file"].map { Array($0.utf8) }
    for index in 0..<nodeCount + 1 {
      let node = NodeIndex(rawValue: index)
      let inode = (try? attributes(of: node))?.inode ?? 0
      _ = try? self.node(withInode: inode, inRoot: 0)
      _ = try? parent(of: node)
      for name in names { _ = try? name.lend { try lookup($0, in: node) } }
      for position in 0..<100 as Range<UInt64> {
        guard let entry = try? entry(at: position, of: node) else { continue }
        _ = try? lookup(entry.name, in: node)
      }
      _ = try? entry(at: .max, of: node)
      _ = try? symbolicLinkTarget(of: node)
      _ = try? extendedAttributes(of: node)
      for name in names { _ = try? name.lend { try extendedAttribute($0, of: node) != nil } }
      let last = UInt64.max
      for range: Range<UInt64> in [0..<last, 5000..<5001, 9..<9, last - 1..<last] {
        for extent in (try? extents(of: node, in: range)) ?? [] {
          guard case .inline(let offset) = extent.source else { continue }
          _ = try? heapBytes(at: offset, count: Int(clamping: extent.length))
        }
        _ = try? checksums(of: node, in: range)
        _ = try? compressedChecksums(of: node, in: range)
        _ = try? nextData(of: node, from: range.lowerBound)
        _ = try? nextHole(of: node, from: range.lowerBound)
      }
    }
    var paths = UnreadablePaths(of: self)
    for index in 0..<min(unreadableCount, 100) {
      _ = (try? unreadablePart(at: index)).map { try? paths.path(of: $0) }
    }
  }
}
