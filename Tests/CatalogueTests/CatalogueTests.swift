import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import SystemPackage
import Testing

@Suite struct CatalogueTests {
  let directory: TemporaryDirectory
  let clock = Clock()
  let catalogue: Catalogue

  init() throws {
    let directory = try TemporaryDirectory()
    let clock = clock
    self.directory = directory
    catalogue = Catalogue(directory: directory.path.appending("state"), now: { clock.now })
  }

  @Test func aFrozenImageIsFoundByNameAndIdentifier() throws {
    let record = try catalogue.freeze("nightly")
    #expect(record.phase == .frozen)
    #expect(record.providerData == "{\"made\":true}")
    #expect(record.created == clock.now)
    // The digest of the bytes 1, 2, 3, by sha256sum(1).
    #expect(
      record.representation?.sha256
        == "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81")
    #expect(record.representation?.length == 3)
    let again = Catalogue(directory: catalogue.directory)
    for reference in ["nightly", record.id.description, record.id.description.uppercased()] {
      let entry = try again.entry(named: reference)
      #expect(entry.record == record)
      #expect(entry.state == .frozen)
    }
  }

  @Test func anEmptyCatalogueHasNoImages() throws {
    #expect(try catalogue.entries() == [])
    #expect(throws: CatalogueError.self) { try catalogue.entry(named: "nightly") }
    #expect(throws: CatalogueError.self) { try catalogue.thaw("nightly", force: false) { _ in } }
    #expect(access(catalogue.directory.string, F_OK) != 0)
  }

  @Test(arguments: [
    "", ".x", "-x", "a/b", "a b", "ä", "a\n", String(repeating: "x", count: 129),
    "01234567-89ab-cdef-0123-456789abcdef",
  ])
  func namesThatAreRefused(name: String) {
    #expect(throws: CatalogueError.invalidName(name)) { try catalogue.freeze(name) }
  }

  @Test func aNameIsUsedOnce() throws {
    try catalogue.freeze("a.B_c-1")
    #expect(throws: CatalogueError.nameUsed("a.B_c-1")) { try catalogue.freeze("a.B_c-1") }
    try catalogue.thaw("a.B_c-1", force: false) { _ in }
    try catalogue.freeze("a.B_c-1")
    #expect(try catalogue.namesFound == ["a.B_c-1"])
  }

  @Test func aStateDirectoryHasOneIdentifierOfItsOwn() async throws {
    let catalogue = catalogue
    #expect(throws: CatalogueError.self) { try catalogue.identifier() }
    let made = try await withThrowingTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          try await blocking {
            try catalogue.create()
            return try catalogue.identifier()
          }
        }
      }
      return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    #expect(made.count == 1)
    let again = Catalogue(directory: catalogue.directory)
    try again.create()
    #expect(try again.identifier() == made.first)
    let other = Catalogue(directory: directory.path.appending("other"))
    try other.create()
    #expect(try other.identifier() != made.first)
    // What is no identifier is replaced, not taken for one.
    let file = try FileDescriptor.open(
      catalogue.directory.appending("id"), .writeOnly, options: [.truncate])
    try file.close()
    #expect(throws: CatalogueError.self) { try catalogue.identifier() }
    try catalogue.create()
    #expect(try catalogue.identifier() != made.first)
  }
}
