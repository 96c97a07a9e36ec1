import FrozenImage
import ImageReader

/// Fetches the bytes of one portion as a plan says, and verifies data checksums.
struct PortionFetch {
  let portion: Portion
  let content: PortionContent
  private let buffer: UnsafeMutableRawBufferPointer
  private let representation: Representation
  private let media: MediaTable
  private let source: any MappingSource
  private let checksums: [Representation.ChecksumRun]
  /// Bytes of the file.
  private let size: UInt64
  /// The media that the last run read from.
  private(set) var readFrom: [MediumID: UInt64] = [:]

  /// - Parameter buffer: takes the portion's bytes; its count is the portion's.
  init(
    portion: Portion, node: NodeIndex, buffer: UnsafeMutableRawBufferPointer,
    representation: Representation, media: MediaTable, source: any MappingSource,
    verifiesChecksums: Bool
  ) throws(RepresentationError) {
    self.portion = portion
    self.buffer = buffer
    self.representation = representation
    self.media = media
    self.source = source
    size = try representation.attributes(of: node).size
    checksums =
      verifiesChecksums ? try representation.checksums(of: node, in: portion.range) : []
    content = PortionContent(
      extents: try representation.extents(of: node, in: portion.range),
      checksummed: checksums.map(\.range))
  }

  /// Fetches every piece of the plan.
  mutating func run(_ plan: ReadPlan) -> FetchOutcome {
    readFrom = [:]
    for piece in plan.pieces {
      let target = bytes(of: piece.range)
      switch piece.source {
      case .zeros:
        target.initializeMemory(as: UInt8.self, repeating: 0)
      case .inline(let heapOffset):
        guard let bytes = try? representation.heapBytes(at: heapOffset, count: target.count) else {
          return .sourceFailed(.failed("the representation's inline data is torn"))
        }
        target.copyMemory(from: bytes)
      case .productionHost:
        if let error = readThrough(piece.range) { return .sourceFailed(error) }
      case .media(let copies):
        if let damage = fetch(copies, range: piece.range) { return .damaged(damage) }
      }
    }
    return .complete
  }

  /// Reads the whole portion through the production host.
  mutating func readThrough() -> SourceError? {
    readFrom = [:]
    return readThrough(portion.range)
  }

  private func bytes(of range: Range<UInt64>) -> UnsafeMutableRawBufferPointer {
    let start = Int(range.lowerBound - portion.range.lowerBound)
    let end = Int(range.upperBound - portion.range.lowerBound)
    return UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end])
  }

  private func readThrough(_ range: Range<UInt64>) -> SourceError? {
    let target = bytes(of: range)
    var done = 0
    do throws(SourceError) {
      while done < target.count {
        let count = try source.read(
          inode: portion.inode, offset: range.lowerBound + UInt64(done),
          into: UnsafeMutableRawBufferPointer(rebasing: target[done...]))
        guard (1...target.count - done).contains(count) else { break }
        done += count
      }
    } catch {
      return error
    }
    let end = range.lowerBound + UInt64(done)
    guard end >= min(range.upperBound, size) else {
      return .failed("it gave inode \(portion.inode) an end at byte \(end), before its own")
    }
    // Past the end of the file there is nothing, and the rest of its last block
    // reads as zeros.
    UnsafeMutableRawBufferPointer(rebasing: target[done...])
      .initializeMemory(as: UInt8.self, repeating: 0)
    return nil
  }

  /// Reads one run of bytes from the first copy that can be read and whose
  /// checksums match.
  private mutating func fetch(_ copies: [MediumAddress], range: Range<UInt64>) -> FetchOutcome
    .Damage?
  {
    var damage = FetchOutcome.Damage(reason: "there is no copy to read", isMismatch: false)
    for copy in copies {
      guard let installed = media.installed(copy.medium) else {
        damage = FetchOutcome.Damage(reason: media.failure(of: copy.medium), isMismatch: false)
        continue
      }
      let medium = installed.medium
      readFrom[copy.medium] = installed.serial
      do throws(MediumError) {
        try medium.read(into: bytes(of: range), at: copy.offset)
      } catch {
        damage = FetchOutcome.Damage(reason: error.description, isMismatch: false)
        continue
      }
      guard let mismatch = firstMismatch(in: range) else { return nil }
      let place = copy.offset + (mismatch - range.lowerBound)
      damage = FetchOutcome.Damage(
        reason: "\(medium.path): the data checksum does not match at byte \(place) "
          + "(inode \(portion.inode), offset \(mismatch))",
        isMismatch: true)
    }
    return damage
  }

  /// The file offset of the first block in a range that does not match its checksum.
  private func firstMismatch(in range: Range<UInt64>) -> UInt64? {
    for run in checksums {
      let covered = run.range.clamped(to: range)
      guard !covered.isEmpty else { continue }
      let block = UInt64(run.blockSize)
      // A piece that begins or ends inside a block cannot be judged.
      guard (covered.lowerBound - run.offset) % block == 0,
        (covered.upperBound - run.offset) % block == 0
      else { return covered.lowerBound }
      for offset in stride(from: covered.lowerBound, to: covered.upperBound, by: run.blockSize) {
        let bytes = UnsafeRawBufferPointer(bytes(of: offset..<offset + block))
        let index = Int((offset - run.offset) / block) * run.algorithm.width
        guard run.algorithm.matches(bytes, stored: run.bytes, at: index) else { return offset }
      }
    }
    return nil
  }
}

extension Representation.ChecksumRun {
  /// The bytes of the file that the checksums cover.
  var range: Range<UInt64> {
    let blocks = UInt64(bytes.count / algorithm.width)
    return offset..<offset + blocks * UInt64(blockSize)
  }
}

extension ChecksumAlgorithm {
  /// Whether a block has the checksum that is stored at an index of `stored`.
  func matches(_ block: UnsafeRawBufferPointer, stored: UnsafeRawBufferPointer, at index: Int)
    -> Bool
  {
    guard index >= 0, index + width <= stored.count else { return false }
    switch self {
    case .crc32c:
      let expected = stored.loadUnaligned(fromByteOffset: index, as: UInt32.self)
      return CRC32C.checksum(block) == UInt32(littleEndian: expected)
    }
  }
}
