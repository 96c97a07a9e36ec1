import Catalogue
import FrozenImage
import ImageFixtures
import Testing

/// Images of backups, which may be gone.
extension CatalogueTests {
  @Test func anImageIsThawedOnceItsLeaseIsOver() throws {
    let kept = try catalogue.freeze("kept")
    let mounted = try catalogue.freeze("mounted")
    let lost = try catalogue.freeze("lost")
    let plain = try catalogue.freeze("plain")
    let lease = Lease(seconds: 100, holder: "a backup")
    for image in [kept, mounted, lost] { try catalogue.keep(lease, on: image.id) }
    #expect(catalogue.lease(of: lost.id)?.lease == lease)
    #expect(catalogue.lease(of: lost.id)?.left == 100)
    #expect(catalogue.lease(of: plain.id) == nil)
    var thawed: [String] = []
    func look() throws {
      try catalogue.thawExpired(release: { _ in }) { image, problem in
        #expect(problem == nil)
        thawed.append(image)
      }
    }
    clock.advance(by: 60)
    try catalogue.keep(lease, on: kept.id)
    clock.advance(by: 60)
    let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")
    try catalogue.keep(session, on: mounted.id)
    try look()
    #expect(thawed == ["lost"])
    #expect(try catalogue.namesFound == ["kept", "mounted", "plain"])
    // The mount is gone, and so is what kept the other one.
    try catalogue.end(session.id, on: mounted.id)
    clock.advance(by: 60)
    try look()
    #expect(Set(thawed) == ["lost", "mounted", "kept"])
    #expect(try catalogue.namesFound == ["plain"])
  }

  @Test func anImageWithoutItsLeaseStays() throws {
    let image = try catalogue.freeze("nightly")
    try catalogue.keep(Lease(seconds: 1, holder: "a backup"), on: image.id)
    try catalogue.endLease(of: image.id)
    clock.advance(by: 1000)
    try catalogue.thawExpired(release: { _ in }) { _, _ in Issue.record("thawed") }
    #expect(try catalogue.namesFound == ["nightly"])
    #expect(throws: CatalogueError.self) {
      try catalogue.keep(Lease(seconds: 1, holder: "a backup"), on: .random())
    }
  }

  @Test func anImageWhoseProviderFailsIsTriedAgain() throws {
    struct Failed: Error {}
    let image = try catalogue.freeze("nightly")
    try catalogue.keep(Lease(seconds: 1, holder: "a backup"), on: image.id)
    clock.advance(by: 10)
    var problems = 0
    try catalogue.thawExpired(release: { _ in throw Failed() }) { _, problem in
      problems += problem is Failed ? 1 : 0
    }
    #expect(problems == 1)
    #expect(try catalogue.namesFound == ["nightly"])
    try catalogue.thawExpired(release: { _ in }) { _, problem in #expect(problem == nil) }
    #expect(try catalogue.namesFound.isEmpty)
  }
}
