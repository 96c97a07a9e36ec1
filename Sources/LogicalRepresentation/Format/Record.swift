import FrozenImage

/// A fixed-size record: fields one after the other, little-endian, without gaps.
protocol Record {
  /// Bytes; a multiple of 8, except in sections that are mere bytes.
  static var size: Int { get }
  /// What messages call it.
  static var noun: String { get }
  init(_ fields: inout FieldReader)
  func write(to fields: inout FieldWriter)
}

extension Record {
  /// The record's bytes.
  var encoded: [UInt8] {
    var fields = FieldWriter(capacity: Self.size)
    write(to: &fields)
    return fields.bytes
  }
}

/// Takes a record apart, field by field.
struct FieldReader {
  private let bytes: UnsafeRawBufferPointer
  private var offset: Int
  private let end: Int

  /// - Precondition: `bytes` has `count` bytes from `offset` on.
  @inline(__always)
  init(_ bytes: UnsafeRawBufferPointer, at offset: Int, count: Int) {
    self.bytes = bytes
    self.offset = offset
    self.end = offset &+ count
  }

  @inline(__always)
  mutating func next<T: FixedWidthInteger & BitwiseCopyable>() -> T {
    let after = offset &+ MemoryLayout<T>.size
    // A record type that reads past its own size is a mistake of this program,
    // whatever the bytes are.
    precondition(after <= end, "a record type reads past its size")
    defer { offset = after }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  @inline(__always)
  mutating func skip(_ count: Int) { offset &+= count }

  /// A `HeapReference`: offset, length.
  @inline(__always)
  mutating func reference() -> HeapReference {
    HeapReference(offset: next(), length: next())
  }

  /// Sixteen bytes in the order of the identifier's text form.
  @inline(__always)
  mutating func identifier() -> UniqueIdentifier {
    let high: UInt64 = next()
    let low: UInt64 = next()
    return UniqueIdentifier(high: high.byteSwapped, low: low.byteSwapped)
  }
}

/// Puts a record together, field by field.
struct FieldWriter {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int) {
    bytes.reserveCapacity(capacity)
  }

  /// Begins another record.
  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  mutating func put(_ value: some FixedWidthInteger & BitwiseCopyable) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func put(_ raw: [UInt8]) { bytes += raw }

  mutating func put(_ reference: HeapReference) {
    put(reference.offset)
    put(reference.length)
  }

  mutating func put(_ identifier: UniqueIdentifier) {
    put(identifier.high.byteSwapped)
    put(identifier.low.byteSwapped)
  }
}

/// A run of bytes in the heap.
struct HeapReference: Hashable, Sendable {
  /// Bytes from the start of the heap.
  var offset: UInt64
  /// Bytes.
  var length: UInt64
}

/// The records of a section.
struct RecordTable<R: Record>: Sendable {
  /// Exactly `count` records; the representation keeps the owner alive.
  nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer
  let count: UInt64

  /// `nil` when the bytes are not a whole number of records.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count.isMultiple(of: R.size) else { return nil }
    self.bytes = bytes
    self.count = UInt64(bytes.count / R.size)
  }

  /// - Throws: `RepresentationError.damaged` when there is no such record.
  @inline(__always)
  func record(at index: UInt64) throws(RepresentationError) -> R {
    guard index < count else { throw Self.missing(index, of: count) }
    // The product is below `bytes.count`, so it fits an Int.
    var fields = FieldReader(bytes, at: Int(truncatingIfNeeded: index) &* R.size, count: R.size)
    return R(&fields)
  }

  /// The bounds of a run of records.
  ///
  /// - Throws: `RepresentationError.damaged` when it leaves the section.
  @inline(__always)
  func range(
    _ first: UInt64, _ length: UInt64, of owner: @autoclosure () -> String
  ) throws(RepresentationError) -> Range<UInt64> {
    guard first <= count, length <= count - first else {
      throw .damaged(
        place: owner(), problem: "its \(R.noun) records \(first) + \(length) leave the section")
    }
    return first..<first + length
  }

  @inline(never)
  private static func missing(_ index: UInt64, of count: UInt64) -> RepresentationError {
    .damaged(place: "\(R.noun) \(index)", problem: "there are only \(count)")
  }
}
