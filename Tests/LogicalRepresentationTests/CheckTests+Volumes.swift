import Testing

@testable import FrozenImage
@testable import LogicalRepresentation

extension CheckTests {
  @Test func rulesOfVolumes() throws {
    try expect("volume 0: the extent of store 0 at 524288 points outside store 2") {
      $0.put(Sample.mediumSize / 2 + 1, in: .stripeTargets, record: 3, at: 0)
    }
    try expect("volume 0: there is no store 9") {
      $0.put(UInt32(9), in: .stripeTargets, record: 3, at: 8)
    }
    try expect("volume 0: the chain below store 0 loops or is too deep") {
      $0.put(UInt32(0), in: .stripeTargets, record: 3, at: 8)
    }
    try expect("volume 0: two extents of store 0 overlap at 524287") {
      $0.put(Sample.mediumSize / 2 - 1, in: .storeExtents, record: 1, at: 0)
    }
    try expect("store extent 0: it has too many targets") {
      $0.put(UInt32(5000), in: .storeExtents, record: 0, at: 24)
    }
    try expect("store extent 1: the store extent at 524288 is malformed") {
      $0.put(UInt64(0), in: .storeExtents, record: 1, at: 16)
    }
    try expect("store 1: its kind is not known") {
      $0.put(UInt32(2), in: .stores, record: 1, at: 4)
    }
    try expect("volume 0: it has two stores 1") { $0.put(UInt32(1), in: .stores, record: 2, at: 0) }
    try expect("which is not described") { $0.put(UInt64(0), in: .stores, record: 1, at: 16) }
    try expect("volume 0: two media have the same identifier") { surgery in
      surgery.put(UInt64(1).byteSwapped, in: .media, record: 1, at: 8)
      surgery.put(UInt64(1).byteSwapped, in: .stores, record: 2, at: 16)
    }
    try expect("medium 0: a probe of it is out of range") {
      $0.put(UInt32(0), in: .windows, record: 0, at: 8)
    }
    try expect("medium 0: a probe of it is out of range") {
      $0.put(UInt32(4090), in: .fragments, record: 1, at: 0)
    }
    try expect("does not have the bytes of its probe") {
      $0.put(UInt32(7), in: .fragments, record: 1, at: 4)
    }
    try expect("volume 0: its checksum algorithm is not known") {
      $0.put(UInt16(5), in: .volumes, record: 0, at: 36)
    }
    try expect("volume 0: its checksums cover blocks of 0 bytes") {
      $0.put(UInt32(0), in: .volumes, record: 0, at: 32)
    }
    try expect("volume 0: its configuration ID is malformed") {
      $0.put(UInt64(5), in: .volumes, record: 0, at: 64)
    }
    try expect("section volumes: there are stores or media that no volume has") {
      $0.put(UInt64(1), in: .volumes, record: 0, at: 24)
    }
    try expect("image: a text of it is not inside the heap") {
      $0.put(UInt64.max, in: .image, record: 0, at: 80)
    }
    try expect("volume 0: what validates its reads is not known") {
      $0.put(UInt16(2), in: .volumes, record: 0, at: 38)
    }
    try expect("root 0: its view 2 is not known") {
      $0.put(UInt32(2), in: .roots, record: 0, at: 44)
    }
    try expect("root 0: there is no volume 1") { $0.put(UInt32(1), in: .roots, record: 0, at: 40) }
  }

  @Test func rulesOfSections() throws {
    let table = HeaderRecord.size
    try expect("section volumes: it overlaps what lies before it") {
      $0.put(UInt64(64), at: table + SectionRecord.size + 8)
    }
    try expect("section volumes: it leaves the representation") {
      $0.put(UInt64.max - 7, at: table + SectionRecord.size + 8)
    }
    try expect("section volumes: its length is not that of 2 records") {
      $0.put(UInt64(2), at: table + SectionRecord.size + 24)
    }
    try expect("section volumes: its records have 44 bytes instead of 88") {
      $0.put(UInt32(44), at: table + SectionRecord.size + 4)
      $0.put(UInt64(2), at: table + SectionRecord.size + 24)
    }
    try expect("section heap: it is missing") {
      $0.put(UInt32(77), at: table + 15 * SectionRecord.size)
    }
    try expect("section image: there are two of it") {
      $0.put(UInt32(1), at: table + SectionRecord.size)
    }
    try expect("header: it names 65 sections") { $0.put(UInt32(65), at: 40) }
    try expect("header: there was no format 0") { $0.put(UInt16(0), at: 8) }
  }

  @Test func bytesOutsideTheSectionsAreRefused() throws {
    try expect("the last section: other bytes follow it") { surgery in
      surgery = Surgery(surgery.bytes + Array(repeating: 0, count: 8))
      surgery.put(UInt64(surgery.bytes.count), at: 32)
    }
    // One entry less: the last one lies between two sections.
    try expect("section extents: other bytes lie before it") { surgery in
      let entries = HeaderRecord.size + 10 * SectionRecord.size
      surgery.put(UInt64(6), at: entries + 24)
      surgery.put(UInt64(6 * EntryRecord.size), at: entries + 16)
    }
  }
}
