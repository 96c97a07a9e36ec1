import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// What nodes are shown as where they are copies: an optional section.
@Suite struct IdentityTests {
  private static let original = NodeIdentity(
    inode: 17, links: 3, changed: Timestamp(seconds: -5, nanoseconds: 999_999_999),
    created: nil, inodeFlags: 0x80)

  /// A directory of which the original is known, and a file in it of which it is not.
  private func write(
    showsIdentities: Bool = true, file: NodeIdentity? = nil
  ) throws -> [UInt8] {
    let scratch = ArrayScratch()
    var writer = try RepresentationWriter(
      image: Sample.image(), volumes: [Sample.volume()], scratch: scratch,
      showsIdentities: showsIdentities)
    try writer.beginNode(Sample.attributes(.directory, inode: 256), shownAs: Self.original)
    try Array("f".utf8).withUnsafeBytes {
      try writer.addEntry(name: $0, inode: 300, type: .regular)
    }
    try writer.endNode()
    try writer.beginNode(Sample.attributes(.regular, inode: 300), shownAs: file)
    try writer.endNode()
    try writer.finish(rootInode: 256, rootName: "data")
    return scratch.result
  }

  @Test func nodesAreShownAsTheirOriginals() throws {
    let representation = try Representation(ArrayRegion(write()))
    try representation.check()
    let top = representation.roots[0].node
    let own = Sample.attributes(.directory, inode: 256)
    #expect(try representation.sourceAttributes(of: top) == own)
    var shown = own
    shown.inode = 17
    shown.links = 3
    shown.changed = Timestamp(seconds: -5, nanoseconds: 999_999_999)
    shown.created = nil
    shown.inodeFlags = 0x80
    #expect(try representation.attributes(of: top) == shown)
    #expect(try representation.inode(of: top) == 17)
    // Questions about it have the number that the production host knows.
    #expect(try representation.node(withInode: 256, inRoot: 0) == top)
  }

  /// An original may have had the number that the copy has: it is shown with none that a
  /// file system gives.
  @Test func aCopyWithoutAnOriginalHasANumberOfItsOwn() throws {
    let representation = try Representation(ArrayRegion(write()))
    let file = try #require(try representation.node(withInode: 300, inRoot: 0))
    #expect(try representation.inode(of: file) == 300 | 1 << 62)
    #expect(try representation.attributes(of: file).inode == 300 | 1 << 62)
    #expect(
      try representation.attributes(of: file).changed
        == Sample.attributes(.regular, inode: 300).changed)
  }

  /// The original of a copy was deleted while it was copied, say.
  @Test func anIdentityThatNobodyCouldShowCostsNoImage() throws {
    var deleted = Self.original
    deleted.links = 0
    let representation = try Representation(ArrayRegion(write(file: deleted)))
    try representation.check()
    let file = try #require(try representation.node(withInode: 300, inRoot: 0))
    #expect(try representation.inode(of: file) == 300 | 1 << 62)
  }

  @Test func otherImagesHaveNoSuchSection() throws {
    let bytes = try write(showsIdentities: false)
    let representation = try Representation(ArrayRegion(bytes))
    #expect(try representation.inode(of: representation.roots[0].node) == 256)
    let table = try bytes.withUnsafeBytes { try SectionTable($0) }
    #expect(!table.records.contains { $0.kind == Section.identities.rawValue })
  }

  @Test(arguments: [
    // Field of the first record, and a value that it cannot have.
    (0, UInt64(0)), (0, 1 << 63), (32, UInt64(2_000_000_000)), (40, 0),
  ])
  func everyFieldIsChecked(field: Int, value: UInt64) throws {
    var surgery = Surgery(try write())
    if field >= 32 {
      surgery.put(UInt32(value), in: .identities, record: 0, at: field)
    } else {
      surgery.put(value, in: .identities, record: 0, at: field)
    }
    surgery.seal()
    #expect(throws: RepresentationError.self) { try surgery.check() }
  }
}
