import CHash
public import FrozenImage

extension ChecksumAlgorithm {
  /// Whether a block has the checksum that is stored at an index of `stored`, in bytes.
  public func matches(
    _ block: UnsafeRawBufferPointer, stored: UnsafeRawBufferPointer, at index: Int
  ) -> Bool {
    guard index >= 0, index <= stored.count - width else { return false }
    switch self {
    case .crc32c:
      let expected = stored.loadUnaligned(fromByteOffset: index, as: UInt32.self)
      return CRC32C.checksum(block) == UInt32(littleEndian: expected)
    case .xxhash64:
      let expected = stored.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      return chash_xxhash64(block.baseAddress, block.count) == UInt64(littleEndian: expected)
    case .sha256, .blake2b:
      return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { digest in
        let place = digest.bindMemory(to: UInt8.self).baseAddress
        if self == .sha256 {
          chash_sha256(block.baseAddress, block.count, place)
        } else if chash_blake2b(block.baseAddress, block.count, place) != 0 {
          return false
        }
        return digest.elementsEqual(UnsafeRawBufferPointer(rebasing: stored[index..<index + 32]))
      }
    }
  }

  /// The index of the first of consecutive blocks that does not have its checksum.
  ///
  /// - Parameters:
  ///   - bytes: whole blocks.
  ///   - size: bytes of a block.
  ///   - stored: the checksums, of which the first block's is number `first`.
  package func firstMismatch(
    in bytes: UnsafeRawBufferPointer, blocksOf size: Int, stored: UnsafeRawBufferPointer,
    from first: Int
  ) -> Int? {
    (0..<bytes.count / size).first { block in
      let bytes = UnsafeRawBufferPointer(rebasing: bytes[block * size..<(block + 1) * size])
      return !matches(bytes, stored: stored, at: (first + block) * width)
    }
  }
}
