import FrozenImage

extension FileExtent {
  /// How many blocks the extent's checksums cover: its own, or those of the stored bytes
  /// of its compressed run; `nil` when these are not whole blocks.
  func checksummedBlocks(of size: UInt64) -> UInt64? {
    if case .compressed(let run) = source {
      let length = UInt64(run.storedLength)
      return length.isMultiple(of: size) ? length / size : nil
    }
    return offset.isMultiple(of: size) && length.isMultiple(of: size) ? length / size : nil
  }
}
