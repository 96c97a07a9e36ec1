import FrozenImage

/// Writes a section of the representation in pieces of up to a mebibyte and keeps its
/// checksum.
struct SectionOutput {
  private let scratch: any RepresentationScratch
  private var position: UInt64
  private(set) var checksum: UInt32 = 0
  private var fields = FieldWriter(capacity: capacity)

  private static let capacity = 1 << 20

  /// - Parameter offset: bytes from the start of the representation.
  init(_ scratch: any RepresentationScratch, at offset: UInt64) {
    self.scratch = scratch
    position = offset
  }

  mutating func append(_ record: some Record) throws {
    record.write(to: &fields)
    if fields.bytes.count >= Self.capacity { try flush() }
  }

  /// Writes what was appended so far.
  mutating func flush() throws {
    try fields.bytes.withUnsafeBytes { try write($0) }
    fields.removeAll()
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard !bytes.isEmpty else { return }
    checksum = CRC32C.checksum(bytes, continuing: checksum)
    try scratch.write(bytes, at: position)
    position += UInt64(bytes.count)
  }
}

/// Reads a section of the scratch space from its start, a mebibyte at a time.
struct ScratchInput {
  private let scratch: any RepresentationScratch
  private let section: ScratchSection
  /// Bytes of the section.
  private let end: UInt64
  private var position: UInt64 = 0
  private var buffer: [UInt8] = []
  private var used = 0

  /// A multiple of every record's size is not needed: a record is never torn, since a
  /// piece is cut to whole records.
  private static let capacity = 1 << 20

  init(_ scratch: any RepresentationScratch, _ section: ScratchSection, bytes: UInt64) {
    self.scratch = scratch
    self.section = section
    end = bytes
  }

  /// The next record; the caller knows how many there are.
  mutating func next<R: Record>(_: R.Type = R.self) throws -> R {
    if used == buffer.count { try fill(multipleOf: R.size) }
    return try buffer.withUnsafeBytes { bytes in
      guard bytes.count - used >= R.size else {
        throw ScratchError(.malformed, "the scratch space is torn")
      }
      var fields = FieldReader(bytes, at: used, count: R.size)
      used += R.size
      return R(&fields)
    }
  }

  private mutating func fill(multipleOf size: Int) throws {
    let most = UInt64(Self.capacity / size * size)
    let count = Int(min(most, end - position))
    if buffer.count != count { buffer = Array(repeating: 0, count: count) }
    try buffer.withUnsafeMutableBytes { buffer in
      try scratch.read(section, at: position, into: buffer)
    }
    position += UInt64(count)
    used = 0
  }

  /// Copies the whole section.
  mutating func copy(to output: inout SectionOutput) throws {
    while position < end {
      try fill(multipleOf: 1)
      try buffer.withUnsafeBytes { try output.write($0) }
    }
  }
}
