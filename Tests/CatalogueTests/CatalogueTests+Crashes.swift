import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageFixtures
import SystemPackage
import TestTags
import Testing

/// What crashes, damage and failures leave in a state directory.
extension CatalogueTests {
  @Test func anImageThatIsBeingFrozenIsNotAnOrphan() throws {
    let reservation = try catalogue.reserve(
      .random(), name: "nightly", provider: "memory", providerData: "{}", source: "/data")
    #expect(try catalogue.entry(named: "nightly").state == .beingFrozen)
    #expect(throws: CatalogueError.beingFrozen(image: "nightly")) {
      try catalogue.thaw("nightly", force: true) { _ in }
    }
    #expect(throws: CatalogueError.incomplete(image: "nightly")) {
      try catalogue.frozenRecord(of: reservation.record.id)
    }
    try reservation.abandon()
    #expect(try catalogue.entries() == [])
  }

  @Test func whatACrashLeavesIsListedAndThawed() throws {
    // A process that dies lets go of its locks, as a reservation does that is dropped.
    do {
      _ = try catalogue.reserve(
        .random(), name: "nightly", provider: "memory", providerData: "{\"planned\":true}",
        source: "/data")
    }
    #expect(try catalogue.entry(named: "nightly").state == .orphan)
    // Whoever wants the name is told that nobody uses it, and how to get it.
    let remedy = "floe thaw nightly --state \(catalogue.directory)"
    let taken = #expect(throws: CatalogueError.nameOrphaned("nightly", remedy: remedy)) {
      try catalogue.freeze("nightly")
    }
    #expect(taken?.description.contains("orphan: \(remedy) removes it") == true)
    var released: [String] = []
    let thawed = try catalogue.thaw("nightly", force: false) { released.append($0.providerData) }
    #expect(thawed.leftOver == nil)
    #expect(released == ["{\"planned\":true}"])
    #expect(try catalogue.entries() == [])
  }

  @Test func directoriesThatWereAboutToAppearOrVanishAreCleanedUp() throws {
    try catalogue.create()
    let images = catalogue.directory.appending("images")
    for name in [".new-\(UniqueIdentifier.random())", ".removed-\(UniqueIdentifier.random())"] {
      mkdir(images.appending(name).string, 0o700)
      mkdir(images.appending(name).appending("sessions").string, 0o700)
    }
    #expect(try catalogue.entries() == [])
    let record = try catalogue.freeze("nightly")
    let listed = try TemporaryDirectory.names(in: images)
    #expect(listed == [record.id.description])
  }

  @Test func aDamagedRecordIsListedAndThawedByForce() throws {
    let record = try catalogue.freeze("nightly")
    let path = catalogue.directory.appending("images/\(record.id)/image.json")
    for content in ["", "{", "{}", "[1]", "{\"format\":2}"] {
      let file = try FileDescriptor.open(path, .writeOnly, options: [.truncate])
      _ = try file.closeAfter { try file.writeAll(content.utf8) }
      guard case .damaged = try catalogue.entry(named: record.id.description).state else {
        Issue.record("“\(content)” is not damaged")
        continue
      }
    }
    #expect(throws: CatalogueError.self) {
      try catalogue.thaw(record.id.description, force: false) { _ in }
    }
    let thawed = try catalogue.thaw(record.id.description, force: true) { _ in
      Issue.record("released")
    }
    #expect(thawed.entry.id == record.id)
    #expect(thawed.leftOver?.contains("damaged") == true)
    #expect(try catalogue.entries() == [])
  }

  @Test func anImageStaysWhenItsSnapshotCannotBeDeletedUnlessForced() throws {
    struct Refused: Error, CustomStringConvertible {
      let description = "the volume is gone"
    }
    let record = try catalogue.freeze("nightly")
    #expect(throws: Refused.self) {
      try catalogue.thaw("nightly", force: false) { _ in throw Refused() }
    }
    #expect(try catalogue.entry(named: "nightly").state == .frozen)
    let thawed = try catalogue.thaw("nightly", force: true) { _ in throw Refused() }
    #expect(thawed.entry.record == record)
    #expect(thawed.leftOver == "the volume is gone")
    #expect(try catalogue.entries() == [])
  }

  @Test(.tags(.needsRoot), .enabled(if: SmallFileSystem.isPossible))
  func aFullStateDirectoryIsSaidAndNothingStays() throws {
    let small = try SmallFileSystem(size: "128k")
    let full = Catalogue(directory: small.path)
    try full.create()
    let filler = try FileDescriptor.open(
      small.path.appending("filler"), .writeOnly, options: [.create], permissions: .ownerReadWrite)
    defer { try? filler.close() }
    let page = [UInt8](repeating: 1, count: 4096)
    while (try? filler.writeAll(page)) != nil {}
    #expect(throws: CatalogueError.full(stateDirectory: small.path.string)) {
      try full.freeze("nightly")
    }
    #expect(try TemporaryDirectory.names(in: small.path.appending("images")) == [])
    #expect(CatalogueError.full(stateDirectory: "/s").description.contains("/s is full"))
  }

  @Test(.tags(.needsRoot), .enabled(if: SmallFileSystem.isPossible))
  func aStateDirectoryThatCannotBeWrittenIsSaid() throws {
    let small = try SmallFileSystem(size: "128k")
    let fixed = Catalogue(directory: small.path)
    try fixed.freeze("nightly")
    try small.makeReadOnly()
    #expect(try fixed.namesFound == ["nightly"])
    #expect {
      try fixed.freeze("other")
    } throws: { error in
      guard case .notWritable(_, .readOnlyFileSystem)? = error as? CatalogueError else {
        return false
      }
      return true
    }
  }
}
