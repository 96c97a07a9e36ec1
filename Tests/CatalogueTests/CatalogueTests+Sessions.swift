import Catalogue
import FrozenImage
import ImageFixtures
import Testing

/// Mounts that hold an image, and how long.
extension CatalogueTests {
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
