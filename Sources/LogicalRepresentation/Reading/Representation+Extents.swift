public import FrozenImage

extension Representation {
  private func extentRange(of file: NodeIndex) throws(RepresentationError) -> Range<UInt64> {
    let record = try record(of: file, as: .regular)
    return try extents.range(record.first, record.count, of: "node \(file.rawValue)")
  }

  /// An extent with its checksums' place.
  struct ExtentWithChecksums {
    let extent: FileExtent
    /// Bytes from the start of the section of checksums.
    let checksums: UInt64?
  }

  func extent(at index: UInt64) throws(RepresentationError) -> ExtentWithChecksums {
    let record = try extents.record(at: index)
    guard let extent = record.extent(compressedRuns) else {
      throw .damaged(
        place: "extent \(index)",
        problem: "it is empty, too long, of an unknown kind, or its compressed run is malformed")
    }
    return ExtentWithChecksums(
      extent: extent, checksums: record.checksums == Format.none ? nil : record.checksums)
  }

  /// The first extent of a file that ends after `offset`, by binary search.
  private func firstExtent(
    endingAfter offset: UInt64, in range: Range<UInt64>
  ) throws(RepresentationError) -> UInt64 {
    var low = range.lowerBound
    var high = range.upperBound
    while low < high {
      let middle = low + (high - low) / 2
      if try extent(at: middle).extent.end <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Calls `body` with the extents of a file that intersect a range, in order, until
  /// it returns `false`.
  private func visitExtents(
    of file: NodeIndex, in range: Range<UInt64>,
    _ body: (ExtentWithChecksums) throws(RepresentationError) -> Bool
  ) throws(RepresentationError) {
    let own = try extentRange(of: file)
    guard !range.isEmpty else { return }
    var previousEnd: UInt64 = 0
    for index in try firstExtent(endingAfter: range.lowerBound, in: own)..<own.upperBound {
      let found = try extent(at: index)
      guard found.extent.offset < range.upperBound else { return }
      // Whoever reads relies on the order, so it holds also where nothing was checked.
      guard found.extent.offset >= previousEnd else {
        throw .damaged(place: "extent \(index)", problem: "it overlaps the one before it")
      }
      previousEnd = found.extent.end
      guard try body(found) else { return }
    }
  }

  /// The extents of a regular file that intersect a range of its bytes, cut to the
  /// range, ascending, without overlap. What none covers is a hole and reads as
  /// zeros. Extents may reach past the file's size, to the end of its last block.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `damaged` when an extent is malformed.
  public func extents(
    of file: NodeIndex, in range: Range<UInt64>
  ) throws(RepresentationError) -> [FileExtent] {
    var result: [FileExtent] = []
    try visitExtents(of: file, in: range) { (found) throws(RepresentationError) in
      if let piece = found.extent.clipped(to: range) { result.append(piece) }
      return true
    }
    return result
  }

  /// The source's checksums of consecutive blocks of a file that are stored one to one.
  public struct ChecksumRun {
    /// Bytes from the start of the file, where the first block begins.
    public let offset: UInt64
    /// Bytes of a block.
    public let blockSize: Int
    /// How each block's checksum is computed.
    public let algorithm: ChecksumAlgorithm
    /// `algorithm.width` bytes for each block, as the source stores them (crc32c:
    /// little-endian); valid while the representation lives.
    public let bytes: UnsafeRawBufferPointer
  }

  /// The source's checksums of the stored blocks of a compressed run.
  public struct CompressedChecksums {
    /// The part of the file that was asked for and that the run holds; its source is
    /// the run.
    public let extent: FileExtent
    /// Bytes of a block.
    public let blockSize: Int
    /// How each block's checksum is computed.
    public let algorithm: ChecksumAlgorithm
    /// `algorithm.width` bytes for each block of the run, as the source stores them;
    /// valid while the representation lives.
    public let bytes: UnsafeRawBufferPointer
  }

  /// The checksums of the whole blocks that intersect a range of a file's bytes;
  /// blocks without a checksum are left out, and so are compressed extents, which
  /// `compressedChecksums` gives.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `damaged` when a record is malformed.
  public func checksums(
    of file: NodeIndex, in range: Range<UInt64>
  ) throws(RepresentationError) -> [ChecksumRun] {
    let volume = volumes[roots[try root(of: file)].volume]
    guard let algorithm = volume.checksum, volume.checksumBlockSize > 0 else { return [] }
    let block = UInt64(volume.checksumBlockSize)
    var runs: [ChecksumRun] = []
    try visitExtents(of: file, in: range) { (found) throws(RepresentationError) in
      guard let start = found.checksums else { return true }
      let extent = found.extent
      if case .compressed = extent.source { return true }
      let first = (max(range.lowerBound, extent.offset) - extent.offset) / block
      let last = (min(range.upperBound, extent.end) - 1 - extent.offset) / block
      let bytes = try checksumBytes(
        at: start, skipping: first, count: last - first + 1, width: algorithm.width)
      runs.append(
        ChecksumRun(
          offset: extent.offset + first * block, blockSize: Int(volume.checksumBlockSize),
          algorithm: algorithm, bytes: bytes))
      return true
    }
    return runs
  }

  /// The checksums of the compressed runs that hold bytes of a range of a file, in the
  /// order of the file; runs without checksums are left out.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `damaged` when a record is malformed.
  public func compressedChecksums(
    of file: NodeIndex, in range: Range<UInt64>
  ) throws(RepresentationError) -> [CompressedChecksums] {
    let volume = volumes[roots[try root(of: file)].volume]
    guard let algorithm = volume.checksum, volume.checksumBlockSize > 0 else { return [] }
    let block = UInt64(volume.checksumBlockSize)
    var result: [CompressedChecksums] = []
    try visitExtents(of: file, in: range) { (found) throws(RepresentationError) in
      guard let start = found.checksums, case .compressed = found.extent.source,
        let blocks = found.extent.checksummedBlocks(of: block),
        let extent = found.extent.clipped(to: range)
      else { return true }
      let bytes = try checksumBytes(
        at: start, skipping: 0, count: blocks, width: algorithm.width)
      result.append(
        CompressedChecksums(
          extent: extent, blockSize: Int(volume.checksumBlockSize), algorithm: algorithm,
          bytes: bytes))
      return true
    }
    return result
  }

  /// The checksums of `count` blocks, `first` blocks after the one whose checksum
  /// lies at `start`.
  func checksumBytes(
    at start: UInt64, skipping first: UInt64, count: UInt64, width: Int
  ) throws(RepresentationError) -> UnsafeRawBufferPointer {
    let (skipped, skipOverflow) = first.multipliedReportingOverflow(by: UInt64(width))
    let (length, lengthOverflow) = count.multipliedReportingOverflow(by: UInt64(width))
    let (offset, overflow) = start.addingReportingOverflow(skipped)
    guard !skipOverflow, !lengthOverflow, !overflow, let offset = Int(exactly: offset),
      let length = Int(exactly: length), offset <= checksumBytes.count,
      length <= checksumBytes.count - offset
    else {
      throw .damaged(
        place: "section checksums", problem: "\(count) checksums at \(start) are not inside it")
    }
    return UnsafeRawBufferPointer(rebasing: checksumBytes[offset..<offset + length])
  }

  /// `SEEK_DATA` (lseek(2)): the first byte at or after `offset` and before the
  /// file's end that lies in an extent with data; `nil` when there is none.
  /// Holes and unwritten extents have no data.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `damaged` when an extent is malformed.
  public func nextData(
    of file: NodeIndex, from offset: UInt64
  ) throws(RepresentationError) -> UInt64? {
    let size = try record(of: file, as: .regular).attributes.size
    guard offset < size else { return nil }
    var result: UInt64?
    try visitExtents(of: file, in: offset..<size) { (found) throws(RepresentationError) in
      guard found.extent.source != .unwritten else { return true }
      result = max(offset, found.extent.offset)
      return false
    }
    return result
  }

  /// `SEEK_HOLE` (lseek(2)): the first byte at or after `offset` that lies in no
  /// extent with data, at most the file's size; `nil` when `offset` is not below
  /// the size.
  ///
  /// - Throws: `wrongType`, `noSuchNode`; `damaged` when an extent is malformed.
  public func nextHole(
    of file: NodeIndex, from offset: UInt64
  ) throws(RepresentationError) -> UInt64? {
    let size = try record(of: file, as: .regular).attributes.size
    guard offset < size else { return nil }
    var end = offset
    try visitExtents(of: file, in: offset..<size) { (found) throws(RepresentationError) in
      guard found.extent.offset <= end, found.extent.source != .unwritten else { return false }
      end = found.extent.end
      return true
    }
    return min(end, size)
  }
}
