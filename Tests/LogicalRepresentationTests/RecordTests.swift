import SeededNumbers
import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

/// Each record type writes as many bytes as it says, and reads back what it wrote.
@Suite struct RecordTests {
  private func expectRoundTrip<R: Record>(_: R.Type) {
    // Any bytes make a record; its reserved bytes come out as zeros.
    var generator = SeededGenerator(seed: 7)
    let first = decode(generator.bytes(R.size), as: R.self).encoded
    #expect(first.count == R.size, "\(R.noun)")
    #expect(decode(first, as: R.self).encoded == first, "\(R.noun)")
  }

  private func decode<R: Record>(_ bytes: [UInt8], as: R.Type) -> R {
    bytes.lend { bytes in
      var fields = FieldReader(bytes, at: 0, count: R.size)
      return R(&fields)
    }
  }

  @Test func sizesAreAsStated() {
    expectRoundTrip(ImageRecord.self)
    expectRoundTrip(VolumeRecord.self)
    expectRoundTrip(RootRecord.self)
    expectRoundTrip(StoreRecord.self)
    expectRoundTrip(StoreExtentRecord.self)
    expectRoundTrip(StripeTargetRecord.self)
    expectRoundTrip(MediumRecord.self)
    expectRoundTrip(WindowRecord.self)
    expectRoundTrip(FragmentRecord.self)
    expectRoundTrip(NodeRecord.self)
    expectRoundTrip(EntryRecord.self)
    expectRoundTrip(ExtentRecord.self)
    expectRoundTrip(CompressedRunRecord.self)
    expectRoundTrip(ExtendedAttributeRecord.self)
    expectRoundTrip(HeaderRecord.self)
    expectRoundTrip(SectionRecord.self)
  }
}
