import FrozenImage

extension ConfigurationID {
  /// For machines: the witness bytes in hexadecimal, media separated by dots. An ID that
  /// is too long for a control attribute is told by its size and its CRC-32C.
  var reportText: String {
    let bytes = bytes
    guard bytes.count > 4096 else { return description }
    let checksum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
    return "\(bytes.count)-bytes-crc32c-\(hexadecimal(checksum))"
  }

  private func hexadecimal(_ number: UInt32) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

/// An ID in hexadecimal as people want to see it: the beginning and the end of each
/// medium's witness.
func abbreviated(configurationID text: String) -> String {
  text.split(separator: ".", omittingEmptySubsequences: false).map { witness in
    witness.count <= 40 ? String(witness) : "\(witness.prefix(8))…\(witness.suffix(12))"
  }.joined(separator: ".")
}
