import SeededNumbers
import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// Damaged and hostile bytes: refused with a reason, never a trap, never another tree.
@Suite struct RepresentationDamageTests {
  /// The smallest of some trees that have one of everything.
  private func small() throws -> (tree: RandomTree, bytes: [UInt8]) {
    var smallest: (tree: RandomTree, bytes: [UInt8])?
    for seed: UInt64 in 0..<400 {
      let tree = RandomTree(count: 6, seed: seed)
      let types = Set(tree.nodes.map(\.attributes.type))
      guard types.isSuperset(of: [.directory, .regular, .symbolicLink]),
        tree.nodes.contains(where: { !$0.checksums.isEmpty }),
        tree.nodes.contains(where: { !$0.inline.isEmpty }),
        tree.nodes.contains(where: { !$0.runChecksums.isEmpty }),
        tree.nodes.contains(where: { !$0.extendedAttributes.isEmpty }),
        tree.nodes.contains(where: { $0.children.contains { $0.placeholder != nil } })
      else { continue }
      let bytes = try represent(tree.nodes, top: tree.top)
      if bytes.count < smallest?.bytes.count ?? .max { smallest = (tree, bytes) }
    }
    return try #require(smallest)
  }

  @Test func everyChangedByteIsRefusedOrHarmless() throws {
    let (tree, bytes) = try small()
    var harmless = 0
    for offset in bytes.indices {
      for bits: UInt8 in [0x01, 0x80, 0xFF] {
        var surgery = Surgery(bytes)
        surgery.flip(offset, bits)
        guard let opened = try? Representation(ArrayRegion(surgery.bytes)) else { continue }
        if bits == 0x80 { opened.askEverything() }
        guard (try? opened.check()) != nil else { continue }
        harmless += 1
        #expect(try opened.wholeTree() == tree.nodes, "byte \(offset), bits \(bits)")
      }
    }
    // The checksums cover every byte but those between sections, which are zero.
    #expect(harmless == 0)
  }

  @Test func everyTruncationIsRefused() throws {
    let (_, bytes) = try small()
    for count in bytes.indices {
      #expect(throws: RepresentationError.self) {
        try Representation(ArrayRegion(Array(bytes[..<count])))
      }
    }
    #expect(throws: RepresentationError.self) { try Representation(ArrayRegion(bytes + [0])) }
  }

  /// Whoever makes the checksums right again gets a tree that keeps the rules, or none.
  @Test func sealedChangesAreRefusedOrKeepTheRules() throws {
    let (_, bytes) = try small()
    var generator = SeededGenerator(seed: testSeed())
    var accepted = 0
    var refused = 0
    for offset in bytes.indices {
      for bits: UInt8 in [0x01, generator.bytes(1)[0] | 2] {
        var surgery = Surgery(bytes)
        surgery.flip(offset, bits)
        surgery.seal()
        if try expectSound(surgery.bytes) { accepted += 1 } else { refused += 1 }
      }
    }
    // Owners, times and the like may be anything; what holds the tree together may not.
    #expect(accepted > 0 && refused > 0)
    for _ in 0..<2000 {
      var surgery = Surgery(bytes)
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let extremes: [UInt64] = [0, 1, .max, .max - 1, UInt64(Int64.max), 1 << 63, 1 << 32]
        let field = Int.random(in: 0..<bytes.count / 8 - 1, using: &generator) * 8
        surgery.put(extremes.randomElement(using: &generator) ?? 0, at: field)
      }
      surgery.seal()
      _ = try expectSound(surgery.bytes)
    }
  }

  /// Bytes that cannot be opened, or that answer all questions without a trap; when
  /// they pass the check, without an error too.
  ///
  /// - Returns: whether they pass the check.
  private func expectSound(_ bytes: [UInt8]) throws -> Bool {
    guard let opened = try? Representation(ArrayRegion(bytes)) else { return false }
    opened.askEverything()
    guard (try? opened.check()) != nil else { return false }
    _ = try opened.wholeTree()
    return true
  }

  @Test func randomBytesAreRefused() throws {
    var generator = SeededGenerator(seed: testSeed())
    for _ in 0..<2000 {
      let magic = generator.chance(50) ? Format.magic : []
      let bytes = magic + generator.bytes(Int.random(in: 0...3000, using: &generator))
      #expect(throws: RepresentationError.self) { try Representation(ArrayRegion(bytes)) }
    }
  }

  @Test func aNewerFormatIsRefusedByName() throws {
    let (_, bytes) = try small()
    var surgery = Surgery(bytes)
    surgery.put(UInt16(2), at: 8)
    let error = RepresentationError.newerFormat(major: 2, minor: 0)
    // A newer version may put its checksum elsewhere: the sentence must not depend on it.
    #expect(throws: error) { try Representation(ArrayRegion(surgery.bytes)) }
    #expect(
      error.description
        == "the representation is of a newer format (2.0; this floe reads 1.x)")
  }

  @Test func unknownIncompatibleFeaturesAreRefusedAndCompatibleOnesAreNot() throws {
    let (_, bytes) = try small()
    var surgery = Surgery(bytes)
    surgery.put(UInt64(1) << 5, at: 16)
    surgery.seal()
    let sealed = surgery.bytes
    #expect(throws: RepresentationError.unknownFeatures(1 << 5)) {
      try Representation(ArrayRegion(sealed))
    }
    var compatible = Surgery(bytes)
    compatible.put(UInt16(7), at: 10)
    compatible.put(UInt64(1) << 5, at: 24)
    compatible.seal()
    try compatible.check()
  }

  @Test func aSectionOfALaterMinorVersionIsPassedOver() throws {
    let (tree, bytes) = try small()
    // One more section record moves everything behind the table by its size.
    let size = SectionRecord.size
    let sections = Section.allCases.filter { !$0.isOptional }
    let table = HeaderRecord.size + sections.count * size
    let extra = SectionRecord(
      kind: 99, recordSize: 8, offset: UInt64(bytes.count + size + 7) / 8 * 8, length: 8, count: 1,
      checksum: 0)
    var longer = Array(bytes[..<table]) + extra.encoded + Array(bytes[table...])
    while !longer.count.isMultiple(of: 8) { longer.append(0) }
    longer += [1, 2, 3, 4, 5, 6, 7, 8]
    var surgery = Surgery(longer)
    for section in sections {
      let entry = HeaderRecord.size + (Int(section.rawValue) - 1) * size
      surgery.put(UInt64(surgery.offset(of: section) + size), at: entry + 8)
    }
    surgery.put(UInt64(longer.count), at: 32)
    surgery.put(UInt32(sections.count + 1), at: 40)
    surgery.seal()
    try surgery.check()
    #expect(try Representation(ArrayRegion(surgery.bytes)).wholeTree() == tree.nodes)
  }
}
