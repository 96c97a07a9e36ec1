import FrozenImage
import SeededNumbers
import Testing

@testable import ImageReader

/// Compares the overlay with a flat table of what is known about each byte.
@Suite struct OverlayTests {
  private enum Flat: Equatable {
    case base
    case unknown
    case at(UInt64)
    case hole
  }

  @Test func agreesWithAFlatTableUnderRandomChanges() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    let inodes: [UInt64] = [3, 4, 7]
    let size: UInt64 = 24
    for _ in 0..<300 {
      var overlay = Overlay()
      let empty = Dictionary(
        uniqueKeysWithValues: inodes.map { ($0, [Flat](repeating: .base, count: Int(size))) })
      // What must be known of each byte, and what may be said of one that never
      // changed: the last answer is as right as the representation.
      var required = empty
      var allowed = empty
      for _ in 0..<12 {
        let keys = Self.keys(inodes, size, &random)
        if Bool.random(using: &random) {
          overlay.invalidate(.ranges([keys]))
          Self.forEach(inodes, size, in: keys) { inode, offset in
            required[inode]?[Int(offset)] = .unknown
            allowed[inode]?[Int(offset)] = .unknown
          }
        } else {
          let place = UInt64.random(in: 1000..<100_000, using: &random)
          overlay.insert(Self.located(keys, inodes, size, place))
          Self.forEach(inodes, size, in: keys) { inode, offset in
            let now: Flat = offset % 5 == 0 ? .hole : .at(place + offset)
            allowed[inode]?[Int(offset)] = now
            if required[inode]?[Int(offset)] != .base { required[inode]?[Int(offset)] = now }
          }
        }
        let isRight = inodes.allSatisfy { inode in
          Self.agrees(
            Self.table(overlay, inode, size), required[inode] ?? [], allowed[inode] ?? [])
        }
        #expect(isRight, "seed \(seed)")
      }
    }
  }

  private static func agrees(_ table: [Flat], _ required: [Flat], _ allowed: [Flat]) -> Bool {
    for (index, known) in table.enumerated() {
      if known == required[index] { continue }
      guard required[index] == .base, known == allowed[index] else { return false }
    }
    return true
  }

  @Test func everythingCoversEveryFile() {
    var overlay = Overlay()
    overlay.invalidate(.everything)
    let knowledge = overlay.knowledge(of: Portion(inode: 99, range: 0..<4096))
    #expect(knowledge.map(\.knowledge) == [.unknown])
  }

  @Test func tooManyRangesBecomeEverything() {
    var ranges = KeyRanges()
    for inode in 0...UInt64(KeyRanges.limit) {
      ranges.insert(
        FileKey(inode: inode * 2, offset: 0)..<FileKey(inode: inode * 2, offset: 1))
    }
    #expect(ranges == .everything)
  }

  private static func keys(
    _ inodes: [UInt64], _ size: UInt64, _ random: inout SeededGenerator
  ) -> Range<FileKey> {
    let ends = (0..<2).map { _ in
      FileKey(
        inode: inodes[Int.random(in: 0..<inodes.count, using: &random)],
        offset: UInt64.random(in: 0...size, using: &random))
    }.sorted()
    return ends[0]..<ends[1]
  }

  private static func forEach(
    _ inodes: [UInt64], _ size: UInt64, in keys: Range<FileKey>,
    _ body: (UInt64, UInt64) -> Void
  ) {
    for inode in inodes {
      for offset in 0..<size where keys.contains(FileKey(inode: inode, offset: offset)) {
        body(inode, offset)
      }
    }
  }

  /// Every fifth byte of a file is a hole, the others lie at `place` plus their offset.
  private static func located(
    _ keys: Range<FileKey>, _ inodes: [UInt64], _ size: UInt64, _ place: UInt64
  ) -> MappingAnswer.Located {
    var extents: [MappingAnswer.Extent] = []
    forEach(inodes, size, in: keys) { inode, offset in
      guard offset % 5 != 0 else { return }
      extents.append(
        MappingAnswer.Extent(
          inode: inode,
          extent: FileExtent(
            offset: offset, length: 1,
            source: .stored(
              StoreAddress(store: StoreID(rawValue: 0), offset: place + offset)))))
    }
    return MappingAnswer.Located(keys: keys, extents: extents)
  }

  private static func table(_ overlay: Overlay, _ inode: UInt64, _ size: UInt64) -> [Flat] {
    var table = [Flat](repeating: .hole, count: Int(size))
    for (range, knowledge) in overlay.knowledge(of: Portion(inode: inode, range: 0..<size)) {
      for offset in range {
        switch knowledge {
        case .base: table[Int(offset)] = .base
        case .unknown: table[Int(offset)] = .unknown
        case .located(let extents):
          for extent in extents where extent.offset <= offset && offset < extent.end {
            if case .stored(let address)? = extent.clipped(to: offset..<offset + 1)?.source {
              table[Int(offset)] = .at(address.offset)
            }
          }
        }
      }
    }
    return table
  }
}
