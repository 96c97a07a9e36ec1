/// Little-endian numbers in an input, whose places the caller checked.
extension [UInt8] {
  func number<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Number {
    withUnsafeBytes {
      Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
  }

  mutating func put<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
    Swift.withUnsafeBytes(of: number.littleEndian) {
      replaceSubrange(offset..<offset + $0.count, with: $0)
    }
  }
}
