import FrozenImage
import ImageReader
import Testing

/// Bytes that could not be read when the image was frozen.
@Suite struct UnreadablePlanTests {
  private func rule() throws -> ReadRule {
    let medium = MediumID(rawValue: UniqueIdentifier(high: 1, low: 1))
    let probe = try #require(
      Probe(offset: 0, length: 8, fragments: [Probe.Fragment(offset: 0, length: 8)]))
    let map = try StoreMap(
      stores: [StoreID(rawValue: 0): .physical(medium)], extents: [:])
    return ReadRule(
      state: MappingState(
        configurationID: ConfigurationID(
          entries: [ConfigurationID.Entry(medium: medium, bytes: [1])]), cursor: []),
      map: map,
      media: [
        MediumDescription(
          id: medium, label: "", size: 4 << 20, path: "", hardwareID: "", identity: probe,
          identityBytes: [], witness: probe)
      ])
  }

  private func content(_ source: FileExtent.Source) -> PortionContent {
    PortionContent(
      extents: [
        FileExtent(offset: 0, length: 4096, source: .unwritten),
        FileExtent(offset: 4096, length: 4096, source: source),
      ], checksummed: [])
  }

  @Test func aReadThatNeedsThemFailsAtOnce() throws {
    var rule = try rule()
    let portion = Portion(inode: 7, range: 0..<8192)
    var read = rule.begin(portion, content: content(.unreadable))
    guard case .failed(.unreadable(let reason)) = rule.next(&read, now: 0) else {
      Issue.record("it goes on")
      return
    }
    #expect(reason.contains("inode 7") && reason.contains("byte 4096"))
    #expect(rule.statistics.errors == 1)
  }

  @Test func aReadBesideThemDoesNot() throws {
    var rule = try rule()
    var read = rule.begin(
      Portion(inode: 7, range: 0..<4096), content: content(.unreadable))
    guard case .fetch(let plan) = rule.next(&read, now: 0) else {
      Issue.record("nothing is fetched")
      return
    }
    #expect(plan.pieces.map(\.source) == [.zeros])
  }
}
