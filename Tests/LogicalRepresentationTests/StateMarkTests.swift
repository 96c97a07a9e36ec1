import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// Marks of the state that an image was described under: an optional section.
@Suite struct StateMarkTests {
  private func write(_ marks: [StateMark], withUnreadable: Bool) throws -> [UInt8] {
    let sample = try Sample.volume()
    let volume = VolumeDescription(
      id: sample.id, label: sample.label,
      state: MappingState(
        configurationID: sample.state.configurationID, cursor: sample.state.cursor, marks: marks),
      map: sample.map, media: sample.media, checksum: sample.checksum,
      checksumBlockSize: sample.checksumBlockSize)
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [volume], scratch: scratch)
    try writer.beginNode(Sample.attributes(.directory, inode: 256))
    if withUnreadable { try writer.markUnreadable(.extendedAttributes, reason: "why") }
    try writer.endNode()
    try writer.finish(rootInode: 256, rootName: "data")
    return scratch.result
  }

  private func marks() throws -> [StateMark] {
    try Sample.volume().media.enumerated().compactMap { index, medium in
      StateMark(
        medium: medium.id, offset: UInt64(index) << 40,
        bytes: Array(repeating: UInt8(index), count: 1 + index * 100))
    }
  }

  @Test(arguments: [false, true]) func areKept(withUnreadable: Bool) throws {
    let marks = try marks()
    #expect(marks.count > 1)
    let representation = try Representation(
      ArrayRegion(write(marks, withUnreadable: withUnreadable)))
    try representation.check()
    #expect(representation.volumes[0].state.marks == marks)
    let without = try Representation(ArrayRegion(write([], withUnreadable: withUnreadable)))
    #expect(without.volumes[0].state.marks.isEmpty)
  }

  @Test(arguments: [
    // Field of the record, and a value that it cannot have.
    (16, UInt64.max), (24, 1 << 40), (32, 0), (32, 513), (40, 1),
  ])
  func everyFieldIsChecked(field: Int, value: UInt64) throws {
    var surgery = Surgery(try write(try marks(), withUnreadable: true))
    surgery.put(value, in: .marks, record: 0, at: field)
    surgery.seal()
    #expect(throws: RepresentationError.self) { try surgery.check() }
  }

  @Test func haveLimits() {
    let medium = MediumID(rawValue: .random())
    #expect(StateMark(medium: medium, offset: 0, bytes: []) == nil)
    let longest = [UInt8](repeating: 0, count: StateMark.maximumLength)
    #expect(StateMark(medium: medium, offset: 0, bytes: longest) != nil)
    #expect(StateMark(medium: medium, offset: 0, bytes: longest + [0]) == nil)
    #expect(StateMark(medium: medium, offset: 1 << 63, bytes: [1]) == nil)
  }
}
