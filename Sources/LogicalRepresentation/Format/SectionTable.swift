import FrozenImage

/// The header and the section table, read and checked: what every later access
/// relies on. Sections lie inside the bytes and are whole numbers of records.
struct SectionTable: Sendable {
  /// As the table lists them, sections of later minor versions included.
  let records: [SectionRecord]
  /// The incompatible features that the representation uses.
  let incompatible: UInt64
  private let known: [Section: Range<Int>]

  init(_ bytes: UnsafeRawBufferPointer) throws(RepresentationError) {
    let header = try Self.header(of: bytes)
    guard header.sectionCount <= Format.maximumSections else {
      throw .damaged(place: "header", problem: "it names \(header.sectionCount) sections")
    }
    let tableLength = Int(header.sectionCount) * SectionRecord.size
    guard bytes.count >= HeaderRecord.size + tableLength else {
      throw .damaged(place: "section table", problem: "it leaves the representation")
    }
    let table = UnsafeRawBufferPointer(
      rebasing: bytes[HeaderRecord.size..<HeaderRecord.size + tableLength])
    guard CRC32C.checksum(table) == header.tableChecksum else {
      throw .damaged(place: "section table", problem: "its checksum is wrong")
    }
    var records: [SectionRecord] = []
    var known: [Section: Range<Int>] = [:]
    for index in 0..<Int(header.sectionCount) {
      var fields = FieldReader(table, at: index * SectionRecord.size, count: SectionRecord.size)
      let record = SectionRecord(&fields)
      let range = try Self.range(of: record, in: bytes.count, after: records.last)
      records.append(record)
      guard let section = Section(rawValue: record.kind) else { continue }
      guard known.updateValue(range, forKey: section) == nil else {
        throw .damaged(place: "section \(section)", problem: "there are two of it")
      }
      guard record.recordSize == section.recordSize else {
        throw .damaged(
          place: "section \(section)",
          problem: "its records have \(record.recordSize) bytes instead of \(section.recordSize)")
      }
    }
    for section in Section.allCases where known[section] == nil && !section.isOptional {
      throw .damaged(place: "section \(section)", problem: "it is missing")
    }
    // Whoever does not know the section must not have opened the rest.
    guard known[.unreadable] == nil || header.incompatible & Format.unreadableParts != 0 else {
      throw .damaged(place: "section unreadable", problem: "the header does not tell of it")
    }
    self.records = records
    self.known = known
    incompatible = header.incompatible
  }

  /// The bytes of a section.
  func bytes(
    of section: Section, in bytes: UnsafeRawBufferPointer
  ) -> UnsafeRawBufferPointer {
    guard let range = known[section] else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  private static func header(
    of bytes: UnsafeRawBufferPointer
  ) throws(RepresentationError) -> HeaderRecord {
    guard bytes.count >= Format.magic.count, bytes.starts(with: Format.magic) else {
      throw .notARepresentation
    }
    guard bytes.count >= HeaderRecord.size else {
      throw .wrongLength(expected: UInt64(HeaderRecord.size), actual: UInt64(bytes.count))
    }
    var fields = FieldReader(bytes, at: 0, count: HeaderRecord.size)
    let header = HeaderRecord(&fields)
    // The version comes first: a later major version may lay out the rest, its
    // checksum included, in another way.
    guard header.major <= Format.major else {
      throw .newerFormat(major: header.major, minor: header.minor)
    }
    let checked = HeaderRecord.size - 4
    let checksum = UInt32(
      littleEndian: bytes.loadUnaligned(fromByteOffset: checked, as: UInt32.self))
    guard CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<checked])) == checksum else {
      throw .damaged(place: "header", problem: "its checksum is wrong")
    }
    guard header.major == Format.major else {
      throw .damaged(place: "header", problem: "there was no format \(header.major)")
    }
    let unknown = header.incompatible & ~Format.knownIncompatible
    guard unknown == 0 else { throw .unknownFeatures(unknown) }
    guard header.fileLength == UInt64(bytes.count) else {
      throw .wrongLength(expected: header.fileLength, actual: UInt64(bytes.count))
    }
    return header
  }

  /// Where a section lies: behind the one before it, inside `count` bytes, and made
  /// of whole records.
  private static func range(
    of record: SectionRecord, in count: Int, after previous: SectionRecord?
  ) throws(RepresentationError) -> Range<Int> {
    func damaged(_ problem: String) -> RepresentationError {
      let name = Section(rawValue: record.kind).map { "\($0)" } ?? "\(record.kind)"
      return .damaged(place: "section \(name)", problem: problem)
    }
    let (end, endOverflow) = record.offset.addingReportingOverflow(record.length)
    guard !endOverflow, let start = Int(exactly: record.offset), let stop = Int(exactly: end),
      stop <= count
    else { throw damaged("it leaves the representation") }
    // The sections before it were found to lie inside, so their ends fit.
    let earliest = previous.map { $0.offset + $0.length } ?? UInt64(HeaderRecord.size)
    guard record.offset >= earliest else { throw damaged("it overlaps what lies before it") }
    guard record.offset.isMultiple(of: Format.alignment) else { throw damaged("it is misaligned") }
    let (length, overflow) = record.count.multipliedReportingOverflow(by: UInt64(record.recordSize))
    guard !overflow, record.recordSize > 0, length == record.length else {
      throw damaged("its length is not that of \(record.count) records")
    }
    return start..<stop
  }
}
