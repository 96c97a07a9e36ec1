import Decoding
public import FrozenImage
import ImageReader
import LogicalRepresentation

/// Bytes on a medium that cannot be read, do not match their data checksum, or cannot be
/// decoded, found by a read whose mapping held.
public struct BadCopy: Hashable, Sendable {
  /// Bytes from the start of the file; of compressed bytes, the first one wanted of what
  /// they decode to.
  public let offset: UInt64
  /// Where it lies.
  public let place: MediumAddress
  /// Whether a data checksum told.
  public let isMismatch: Bool
  /// Medium, place and what is wrong, in one sentence.
  public let reason: String
}

/// Fetches the bytes of one portion as a plan says, and verifies data checksums.
struct PortionFetch {
  let portion: Portion
  let content: PortionContent
  let buffer: UnsafeMutableRawBufferPointer
  let representation: Representation
  let media: MediaTable
  let source: any ProductionHost
  let checksums: [Representation.ChecksumRun]
  /// Those of `content.checksummedRuns`, in that order.
  let compressedChecksums: [Representation.CompressedChecksums]
  let readsEveryCopy: Bool
  let runs = RunBuffer()
  /// Bytes of the file.
  private let size: UInt64
  /// What the last run reads from.
  var open: [MediumID: MediaTable.Installed] = [:]
  /// The incarnation of each medium that the last run read from, as it was when it was read
  /// first.
  var readFrom: [MediumID: Incarnation] = [:]
  /// What the last run found wrong; it counts only if the mapping held.
  var badCopies: [BadCopy] = []

  /// - Parameter buffer: takes the portion's bytes; its count is the portion's.
  init(
    portion: Portion, node: NodeIndex, buffer: UnsafeMutableRawBufferPointer,
    representation: Representation, media: MediaTable, source: any ProductionHost,
    options: BlockingReader.Options
  ) throws(RepresentationError) {
    self.portion = portion
    self.buffer = buffer
    self.representation = representation
    self.media = media
    self.source = source
    size = try representation.sourceAttributes(of: node).size
    readsEveryCopy = options.readsEveryCopy
    let verifiesChecksums = options.verifiesChecksums
    checksums =
      verifiesChecksums ? try representation.checksums(of: node, in: portion.range) : []
    compressedChecksums =
      verifiesChecksums ? try representation.compressedChecksums(of: node, in: portion.range) : []
    content = PortionContent(
      extents: try representation.extents(of: node, in: portion.range),
      checksummed: checksums.map(\.range), checksummedRuns: compressedChecksums.map(\.extent))
  }

  /// Fetches every piece of the plan.
  ///
  /// - Parameter open: the media as they are installed now.
  mutating func run(
    _ plan: ReadPlan, from open: [MediumID: MediaTable.Installed]
  ) -> FetchOutcome {
    self.open = open
    readFrom = [:]
    badCopies = []
    runs.forget()
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
      case .unreadable:
        // The rule gives out no such plan.
        return .sourceFailed(.failed("it could not be read when the image was frozen"))
      case .media(let copies):
        let damage = read(copies, into: target, for: piece.range.lowerBound) { [self] in
          firstMismatch(in: piece.range)
        }
        if let damage { return .damaged(damage) }
      case .compressed(let source):
        if let damage = fetch(source, range: piece.range, of: plan) { return .damaged(damage) }
      }
    }
    return .complete
  }

  /// Reads the whole portion through the production host.
  mutating func readThrough() -> SourceError? {
    badCopies = []
    readFrom = [:]
    return readThrough(portion.range)
  }

  func bytes(of range: Range<UInt64>) -> UnsafeMutableRawBufferPointer {
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
}
