public import FrozenImage

extension RepresentationWriter {
  /// Adds an extent to the open regular file, in ascending order of offset; bytes that
  /// travel inside the representation go to `addInline`.
  ///
  /// - Parameter checksums: `width` bytes for each block of the extent, or of the stored
  ///   bytes of its compressed run, which is then made of whole blocks; `nil` when it
  ///   has none.
  /// - Throws: `RepresentationWriterError` when the extent breaks a rule or is not
  ///   mapped.
  public mutating func addExtent(
    _ extent: FileExtent, checksums: UnsafeRawBufferPointer?
  ) throws {
    let end = try claim(offset: extent.offset, length: extent.length)
    switch extent.source {
    case .stored(let address):
      guard coverage.covers(address, length: extent.length) else {
        throw refusal(
          "store \(address.store.rawValue) does not map the \(extent.length) bytes at "
            + "\(address.offset)")
      }
    case .inline: throw refusal("an inline extent came without its bytes")
    case .compressed(let run):
      guard run.holds(extent.length) else {
        throw refusal(
          "the compressed run of the extent at \(extent.offset) decodes to too few bytes")
      }
      guard coverage.covers(run.address, length: UInt64(run.storedLength)) else {
        throw refusal(
          "store \(run.address.store.rawValue) does not map the \(run.storedLength) compressed "
            + "bytes at \(run.address.offset)")
      }
    case .unwritten, .encoded: break
    case .unreadable: throw refusal("an unreadable extent came without a reason")
    }
    var start = Format.none
    if let checksums {
      try checkChecksums(checksums, of: extent)
      start = counts.checksums
      try scratch.append(checksums, to: .checksums)
      counts.checksums += UInt64(checksums.count)
    }
    let run = counts.compressedRuns
    if case .compressed(let run) = extent.source {
      try append(
        CompressedRunRecord(run), to: .compressedRuns, counting: \.compressedRuns)
    }
    try append(
      ExtentRecord(extent, run: run, checksums: start), to: .extents, counting: \.extents)
    extentEnd = end
  }

  private func checkChecksums(
    _ checksums: UnsafeRawBufferPointer, of extent: FileExtent
  ) throws {
    guard let volume = volumes.first, let algorithm = volume.checksum else {
      throw refusal("it has checksums and its volume has none")
    }
    let block = UInt64(volume.checksumBlockSize)
    guard let blocks = extent.checksummedBlocks(of: block),
      UInt64(checksums.count) == blocks * UInt64(algorithm.width)
    else {
      throw refusal(
        "the extent at \(extent.offset) has \(extent.length) bytes and \(checksums.count) bytes "
          + "of checksums")
    }
  }

  /// Adds bytes of the open regular file that travel inside the representation, in
  /// ascending order of offset with its extents.
  ///
  /// - Parameters:
  ///   - length: bytes of the file that the extent stands for.
  ///   - bytes: at most `length`; what is missing reads as zeros.
  /// - Throws: `RepresentationWriterError` when the extent breaks a rule.
  public mutating func addInline(
    offset: UInt64, length: UInt64, bytes: UnsafeRawBufferPointer
  ) throws {
    let end = try claim(offset: offset, length: length)
    guard UInt64(bytes.count) <= length else {
      throw refusal("\(bytes.count) inline bytes stand for \(length)")
    }
    extentEnd = end
    // What is left over is a hole, which reads as zeros.
    guard !bytes.isEmpty else { return }
    let extent = FileExtent(
      offset: offset, length: UInt64(bytes.count), source: .inline(heapOffset: counts.heap))
    try appendToHeap(bytes)
    try append(ExtentRecord(extent, checksums: Format.none), to: .extents, counting: \.extents)
  }

  /// Looks whether a run of the open file's bytes can become an extent.
  ///
  /// - Returns: where it ends; `extentEnd` once it is written.
  func claim(offset: UInt64, length: UInt64) throws -> UInt64 {
    guard try current().attributes.type == .regular else {
      throw refusal("it has an extent and is not a regular file")
    }
    let (end, overflow) = offset.addingReportingOverflow(length)
    guard length > 0, !overflow, end <= Format.maximumFileEnd else {
      throw refusal("the extent at \(offset) has \(length) bytes")
    }
    guard offset >= extentEnd else {
      throw refusal("the extent at \(offset) overlaps the one before, which ends at \(extentEnd)")
    }
    return end
  }
}
