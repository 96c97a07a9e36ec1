/// Fields of on-disk structures: little-endian, unaligned, `nil` when they do not
/// lie inside the buffer.
extension UnsafeRawBufferPointer {
  /// The integer of `Number.bitWidth` bits that begins at byte `offset` of the buffer.
  @inlinable package func number<Number: FixedWidthInteger>(
    at offset: Int, as type: Number.Type = Number.self
  )
    -> Number?
  {
    guard offset >= 0, offset <= count - MemoryLayout<Number>.size else { return nil }
    return Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }

  /// `count` bytes from `offset`.
  @inlinable package func run(at offset: Int, count length: Int) -> UnsafeRawBufferPointer? {
    guard offset >= 0, length >= 0, offset <= count, length <= count - offset else { return nil }
    return UnsafeRawBufferPointer(rebasing: self[offset..<offset + length])
  }
}
