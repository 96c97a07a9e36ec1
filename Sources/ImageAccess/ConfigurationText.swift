package import FrozenImage

extension ConfigurationID {
  /// For machines: the witness bytes in hexadecimal, media separated by dots. An ID that
  /// is too long for a control attribute is told by its size and its CRC-32C.
  package var reportText: String {
    let bytes = bytes
    guard bytes.count > 4096 else { return description }
    let checksum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
    return "\(bytes.count)-bytes-crc32c-\(hexadecimal(checksum))"
  }
}

/// An ID in hexadecimal as people want to see it: for each medium the CRC-32C of its witness.
/// Most bytes of a witness never change, so that a part of it might look the same for ever.
package func abbreviated(configurationID text: String) -> String {
  text.split(separator: ".", omittingEmptySubsequences: false).map { witness in
    guard witness.count > 16, let bytes = [UInt8](hexadecimal: witness) else {
      return String(witness)
    }
    return hexadecimal(bytes.withUnsafeBytes { CRC32C.checksum($0) })
  }.joined(separator: ".")
}

private func hexadecimal(_ number: UInt32) -> String {
  withUnsafeBytes(of: number.bigEndian) { $0.hexadecimal }
}
