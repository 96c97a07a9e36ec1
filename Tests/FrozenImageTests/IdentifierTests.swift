import FrozenImage
import SeededNumbers
import Testing

@Suite struct IdentifierTests {
  @Test func uniqueIdentifiersRoundTrip() throws {
    for _ in 0..<200 {
      let id = UniqueIdentifier.random()
      #expect(UniqueIdentifier(bytes: id.bytes) == id)
      #expect(UniqueIdentifier(id.description) == id)
      #expect(UniqueIdentifier(id.description.uppercased()) == id)
    }
    let text = "00112233-4455-6677-8899-aabbccddeeff"
    #expect(
      UniqueIdentifier(text)
        == UniqueIdentifier(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF))
    for wrong in [
      "", String(text.dropLast()), text + "0", text.replacing("-", with: "0"),
      text.replacing("0", with: "g"), "+" + text.dropFirst(),
    ] {
      #expect(UniqueIdentifier(wrong) == nil, "\(wrong)")
    }
    #expect(UniqueIdentifier(bytes: Array(repeating: 0, count: 15)) == nil)
    #expect(UniqueIdentifier(bytes: Array(repeating: 0, count: 17)) == nil)
  }

  @Test func configurationIDsRoundTrip() {
    var generator = SeededGenerator(seed: testSeed())
    for _ in 0..<200 {
      let entries = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
        ConfigurationID.Entry(
          medium: MediumID(
            rawValue: UniqueIdentifier(high: generator.next(), low: generator.next())),
          bytes: generator.bytes(Int.random(in: 0...300, using: &generator)))
      }
      let id = ConfigurationID(entries: entries)
      #expect(ConfigurationID(bytes: id.bytes) == id)
      for entry in entries { #expect(id[entry.medium] == entry.bytes) }
      #expect(id == ConfigurationID(entries: entries.reversed()))
      if !entries.isEmpty {
        #expect(ConfigurationID(bytes: Array(id.bytes.dropLast())) == nil)
        #expect(ConfigurationID(bytes: id.bytes + id.bytes) == nil)
      }
    }
  }

  @Test func probesTakeTheFragmentsOutOfTheWindow() throws {
    let probe = try #require(
      Probe(
        offset: 4096, length: 8,
        fragments: [
          .init(offset: 1, length: 2), .init(offset: 3, length: 1), .init(offset: 7, length: 1),
        ]))
    let window: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7]
    #expect(window.withUnsafeBytes { probe.windows[0].extract(from: $0) } == [1, 2, 3, 7])
    #expect(Array(window.dropLast()).withUnsafeBytes { probe.windows[0].extract(from: $0) } == nil)
  }

  @Test func probesOutOfRangeAreRefused() {
    let whole = Probe.Fragment(offset: 0, length: 8)
    #expect(Probe(offset: 0, length: 0, fragments: [whole]) == nil)
    #expect(Probe(offset: 0, length: Probe.Window.maximumLength + 1, fragments: [whole]) == nil)
    #expect(Probe(offset: .max, length: 8, fragments: [whole]) == nil)
    #expect(Probe(offset: 0, length: 8, fragments: []) == nil)
    #expect(Probe(offset: 0, length: 7, fragments: [whole]) == nil)
    #expect(Probe(offset: 0, length: 8, fragments: [.init(offset: -1, length: 2)]) == nil)
    #expect(Probe(offset: 0, length: 8, fragments: [.init(offset: 1, length: 0)]) == nil)
    #expect(Probe(offset: 0, length: 8, fragments: [.init(offset: 1, length: .max)]) == nil)
    #expect(
      Probe(
        offset: 0, length: 8, fragments: [.init(offset: 0, length: 2), .init(offset: 1, length: 2)])
        == nil)
  }
}
