/// Fields of on-disk structures: little-endian, unaligned, `nil` when they do not
/// lie inside the buffer.
extension UnsafeRawBufferPointer {
  func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type = Number.self)
    -> Number?
  {
    guard offset >= 0, offset <= count - MemoryLayout<Number>.size else { return nil }
    return Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }

  /// `count` bytes from `offset`.
  func run(at offset: Int, count length: Int) -> UnsafeRawBufferPointer? {
    guard offset >= 0, length >= 0, offset <= count, length <= count - offset else { return nil }
    return UnsafeRawBufferPointer(rebasing: self[offset..<offset + length])
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Writes a number in the machine's byte order, as an ioctl argument has it.
  /// The offset is one of the shim's constants, inside the argument.
  func setNative<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
    storeBytes(of: number, toByteOffset: offset, as: Number.self)
  }
}
