import Catalogue
import FrozenImage
import Glibc
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

  // MARK: - Crashes

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

  // MARK: - The file system

  @Test(.enabled(if: SmallFileSystem.isPossible))
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

  @Test(.enabled(if: SmallFileSystem.isPossible))
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

  // MARK: - Sessions

  @Test func aMountedImageIsNotThawed() throws {
    let record = try catalogue.freeze("nightly")
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    try catalogue.keep(session, on: record.id)
    #expect(throws: CatalogueError.mounted(image: "nightly", sessions: [session])) {
      try catalogue.thaw("nightly", force: false) { _ in Issue.record("released") }
    }
    let sentence = CatalogueError.mounted(image: "nightly", sessions: [session]).description
    #expect(sentence.contains("backup1") && sentence.contains("/mnt/x"))
    #expect(sentence.contains("--force") && sentence.contains("60 seconds"))
    // Another process finds it too.
    let again = Catalogue(directory: catalogue.directory, now: { [clock] in clock.now })
    #expect(try again.entry(named: "nightly").sessions == [session])
    try again.end(session.id, on: record.id)
    try again.end(session.id, on: record.id)
    try catalogue.thaw("nightly", force: false) { _ in }
  }

  /// Removing what a provider made may take minutes.
  @Test func othersUseTheCatalogueWhileAnImageIsThawed() throws {
    let record = try catalogue.freeze("nightly")
    let other = try catalogue.freeze("weekly")
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    let late = SessionRecord(id: .random(), backupHost: "backup2", mountpoint: "/mnt/y")
    try catalogue.keep(session, on: record.id)
    try catalogue.thaw("nightly", force: true) { _ in
      try catalogue.keep(late, on: other.id)
      try catalogue.keep(session, on: record.id)
      let beingThawed = CatalogueError.beingThawed(image: "nightly")
      #expect(throws: beingThawed) { try catalogue.keep(late, on: record.id) }
      #expect(throws: beingThawed) { try catalogue.thaw("nightly", force: true) { _ in } }
    }
    #expect(try catalogue.entries().map(\.label) == ["weekly"])
  }

  @Test func aThawThatFailsLeavesTheImage() throws {
    struct Failed: Error {}
    let record = try catalogue.freeze("nightly")
    #expect(throws: Failed.self) {
      try catalogue.thaw("nightly", force: false) { _ in throw Failed() }
    }
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    try catalogue.keep(session, on: record.id)
    #expect(try catalogue.entry(named: "nightly").state == .frozen)
  }

  @Test func forceThawsAMountedImage() throws {
    let record = try catalogue.freeze("nightly")
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    try catalogue.keep(session, on: record.id)
    try catalogue.thaw("nightly", force: true) { _ in }
    #expect(throws: CatalogueError.self) { try catalogue.keep(session, on: record.id) }
    #expect(try catalogue.entries() == [])
  }

  @Test func aSessionThatNobodyKeepsExpires() throws {
    let record = try catalogue.freeze("nightly")
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    try catalogue.keep(session, on: record.id)
    clock.advance(by: Catalogue.sessionLifetime)
    #expect(try catalogue.sessions(of: record.id) == [session])
    try catalogue.keep(session, on: record.id)
    clock.advance(by: Catalogue.sessionLifetime)
    #expect(try catalogue.sessions(of: record.id) == [session])
    clock.advance(by: 1)
    #expect(try catalogue.sessions(of: record.id) == [])
    // A service that ran all the time would have heard of it.
    #expect(try catalogue.endSilentSessions(of: record.id) == [session])
    #expect(try catalogue.endSilentSessions(of: record.id) == [])
    try catalogue.thaw("nightly", force: false) { _ in }
  }

  /// Mounts make themselves known through the service: while none runs, their silence
  /// tells nothing.
  @Test func withoutAServiceASilentMountIsNotThawedUnlessForced() throws {
    let record = try catalogue.freeze("nightly")
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    try catalogue.keep(session, on: record.id)
    clock.advance(by: 1_000_000)
    let refusal = CatalogueError.perhapsMounted(image: "nightly", sessions: [session])
    #expect(throws: refusal) {
      try catalogue.thaw("nightly", force: false) { _ in Issue.record("released") }
    }
    for part in ["backup1", "/mnt/x", "--force", "floe serve"] {
      #expect(refusal.description.contains(part))
    }
    // Once the service runs again, the mount goes on as if nothing had been.
    let isNew = try catalogue.keep(session, on: record.id)
    #expect(!isNew)
    #expect(try catalogue.sessions(of: record.id) == [session])
    clock.advance(by: 1_000_000)
    try catalogue.thaw("nightly", force: true) { _ in }
    #expect(try catalogue.entries() == [])
  }

  @Test func aClockThatWasSetBackKeepsNoSessionForEver() throws {
    let record = try catalogue.freeze("nightly")
    try catalogue.keep(
      SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x"), on: record.id)
    clock.advance(by: -3600)
    #expect(try catalogue.sessions(of: record.id) == [])
  }

  @Test func sessionsAreLimited() throws {
    let record = try catalogue.freeze("nightly")
    for _ in 0..<Catalogue.maximumSessions {
      try catalogue.keep(
        SessionRecord(id: .random(), backupHost: "b", mountpoint: "/m"), on: record.id)
    }
    let one = SessionRecord(id: .random(), backupHost: "b", mountpoint: "/m")
    #expect(throws: CatalogueError.tooManySessions(image: "nightly")) {
      try catalogue.keep(one, on: record.id)
    }
    clock.advance(by: Catalogue.sessionLifetime + 1)
    try catalogue.keep(one, on: record.id)
    #expect(try catalogue.sessions(of: record.id) == [one])
  }
}
