extension UnsafeMutableRawBufferPointer {
  /// Writes a number in the machine's byte order, as an ioctl argument has it.
  /// The offset is one of the shim's constants, inside the argument.
  func setNative<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
    storeBytes(of: number, toByteOffset: offset, as: Number.self)
  }
}
