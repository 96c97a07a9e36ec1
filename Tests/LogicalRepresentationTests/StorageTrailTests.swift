import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// How a volume's layers are found again: an optional section.
@Suite struct StorageTrailTests {
  /// - Parameter isFull: whether all other optional sections are there as well.
  private func write(_ trail: StorageTrail?, isFull: Bool = false) throws -> [UInt8] {
    let sample = try Sample.volume()
    let mark = StateMark(medium: sample.media[0].id, offset: 0, bytes: [1])
    let volume = VolumeDescription(
      id: sample.id, label: sample.label,
      state: MappingState(
        configurationID: sample.state.configurationID, cursor: sample.state.cursor,
        marks: isFull ? [mark].compactMap { $0 } : []), map: sample.map, media: sample.media,
      checksum: sample.checksum,
      checksumBlockSize: sample.checksumBlockSize, trail: trail)
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [volume], scratch: scratch)
    try writer.beginNode(Sample.attributes(.directory, inode: 256))
    if isFull { try writer.markUnreadable(.extendedAttributes, reason: "why") }
    try writer.endNode()
    try writer.finish(rootInode: 256, rootName: "data")
    return scratch.result
  }

  private let trail = StorageTrail(provider: "some", bytes: Array("way".utf8))

  @Test func isKept() throws {
    let representation = try Representation(ArrayRegion(write(trail)))
    try representation.check()
    #expect(representation.volumes[0].trail == trail)
  }

  /// A file of an older floe has none, and one without looks as it did.
  @Test func mayBeMissing() throws {
    let bytes = try write(nil)
    let representation = try Representation(ArrayRegion(bytes))
    try representation.check()
    #expect(representation.volumes[0].trail == nil)
    #expect(!representation.sections.records.contains { $0.kind == Section.trails.rawValue })
    #expect(bytes.count < (try write(trail)).count)
  }

  @Test(arguments: [
    // Field of the record, and a value that it cannot have.
    (0, UInt64(1)), (8, 1 << 40), (16, 1 << 40), (24, 1 << 40), (32, 0), (32, 65537),
  ])
  func everyFieldIsChecked(field: Int, value: UInt64) throws {
    var surgery = Surgery(try write(trail, isFull: true))
    surgery.put(value, in: .trails, record: 0, at: field)
    surgery.seal()
    #expect(throws: RepresentationError.self) { try surgery.check() }
  }

  @Test func hasLimits() {
    #expect(StorageTrail(provider: "some", bytes: []) == nil)
    let longest = [UInt8](repeating: 0, count: StorageTrail.maximumLength)
    #expect(StorageTrail(provider: "some", bytes: longest) != nil)
    #expect(StorageTrail(provider: "some", bytes: longest + [0]) == nil)
  }
}
