import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// What store extents have beyond their records: an optional section.
@Suite struct PlacementTests {
  private static let top = StoreID(rawValue: 0)

  /// The sample with its mirror in sync, or the elements of its columns apart.
  private func write(inSync: Bool, isSpaced: Bool) throws -> [UInt8] {
    let sample = try Sample.volume()
    let extents = try #require(sample.map.extents[Self.top])
    let mirror = extents[0]
    let striped = extents[1]
    let half = Sample.mediumSize / 2
    let changed = [
      try StoreExtent(
        offset: mirror.offset, length: mirror.length, columns: 1, copies: 2,
        stripeLength: mirror.placement.stripeLength, targets: mirror.placement.targets,
        copyState: inSync ? .inSync : .unknown),
      try StoreExtent(
        offset: striped.offset, length: half, columns: 2, copies: 1, stripeLength: 65536,
        columnStep: isSpaced ? 131_072 : nil,
        targets: striped.placement.targets),
      // Of the top store nothing is left out.
      try StoreExtent(
        offset: striped.offset + half, length: half, columns: 2, copies: 1, stripeLength: 65536,
        targets: striped.placement.targets),
    ]
    let volume = VolumeDescription(
      id: sample.id, label: sample.label, state: sample.state,
      map: try StoreMap(stores: sample.map.stores, extents: [Self.top: changed]),
      media: sample.media, checksum: sample.checksum, checksumBlockSize: sample.checksumBlockSize)
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [volume], scratch: scratch)
    try writer.beginNode(Sample.attributes(.directory, inode: 256))
    try writer.endNode()
    try writer.finish(rootInode: 256, rootName: "data")
    return scratch.result
  }

  private func incompatible(_ bytes: [UInt8]) -> UInt64 {
    bytes.withUnsafeBytes { $0.number(at: 16) ?? .max }
  }

  @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
  func areKept(inSync: Bool, isSpaced: Bool) throws {
    let bytes = try write(inSync: inSync, isSpaced: isSpaced)
    let representation = try Representation(ArrayRegion(bytes))
    try representation.check()
    let extents = try #require(representation.volumes[0].map.extents[Self.top])
    #expect(
      extents.map(\.placement.copyState) == [inSync ? .inSync : .unknown, .unknown, .unknown])
    #expect(extents[1].placement.columnStep == (isSpaced ? 131_072 : 65536))
    #expect(extents[2].placement.columnStep == 65536)
    // Whoever does not know the section reads mirrors through the production host, but would
    // read parity.
    #expect(incompatible(bytes) == (isSpaced ? Format.spacedColumns : 0))
    let hasSection = try bytes.withUnsafeBytes { bytes in
      try SectionTable(bytes).records.contains { $0.kind == Section.placements.rawValue }
    }
    #expect(hasSection == (inSync || isSpaced))
  }

  @Test(arguments: [
    // Field of the second record, and a value that it cannot have.
    (0, UInt64(9)), (0, 0), (8, 1), (8, .max), (16, 2),
  ])
  func everyFieldIsChecked(field: Int, value: UInt64) throws {
    var surgery = Surgery(try write(inSync: true, isSpaced: true))
    surgery.put(value, in: .placements, record: 1, at: field)
    surgery.seal()
    #expect(throws: RepresentationError.self) { try surgery.check() }
  }

  /// Without the bit an older reader would have opened it, and read parity.
  @Test func columnsThatTheHeaderDoesNotTellOfAreRefused() throws {
    var surgery = Surgery(try write(inSync: false, isSpaced: true))
    surgery.put(UInt64(0), at: 16)
    surgery.seal()
    #expect(throws: RepresentationError.self) { try surgery.check() }
  }
}
