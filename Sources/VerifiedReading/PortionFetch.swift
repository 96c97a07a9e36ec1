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
  private let buffer: UnsafeMutableRawBufferPointer
  private let representation: Representation
  private let media: MediaTable
  private let source: any MappingSource
  private let checksums: [Representation.ChecksumRun]
  /// Those of `content.checksummedRuns`, in that order.
  private let compressedChecksums: [Representation.CompressedChecksums]
  private let readsEveryCopy: Bool
  private let runs = RunBuffer()
  /// Bytes of the file.
  private let size: UInt64
  /// The media that the last run read from, each as it was installed when it was read
  /// first: one that was replaced since is not the one that a later check looks at.
  private(set) var readFrom: [MediumID: UInt64] = [:]
  /// What the last run found wrong; it counts only if the mapping held.
  private(set) var badCopies: [BadCopy] = []

  /// - Parameter buffer: takes the portion's bytes; its count is the portion's.
  init(
    portion: Portion, node: NodeIndex, buffer: UnsafeMutableRawBufferPointer,
    representation: Representation, media: MediaTable, source: any MappingSource,
    options: BlockingReader.Options
  ) throws(RepresentationError) {
    self.portion = portion
    self.buffer = buffer
    self.representation = representation
    self.media = media
    self.source = source
    size = try representation.attributes(of: node).size
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
  mutating func run(_ plan: ReadPlan) -> FetchOutcome {
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
  /// checksums match; if every copy is to be read, also looks at the others.
  ///
  /// - Parameters:
  ///   - offset: of the file, that the bytes are read for.
  ///   - firstMismatch: the first block in the target that does not match its checksum.
  private mutating func read(
    _ copies: [MediumAddress], into target: UnsafeMutableRawBufferPointer, for offset: UInt64,
    firstMismatch: () -> Mismatch?
  ) -> FetchOutcome.Damage? {
    var damage = FetchOutcome.Damage(reason: "there is no copy to read")
    var good: MediumAddress?
    var last: MediumAddress?
    for copy in copies {
      last = copy
      if let found = read(copy, into: target, for: offset, firstMismatch: firstMismatch) {
        damage = found
      } else {
        good = good ?? copy
        if !readsEveryCopy { return nil }
      }
    }
    guard let good else { return damage }
    // What was looked at last may be bad, or another copy that is just as good.
    return good == last
      ? nil : read(good, into: target, for: offset, firstMismatch: firstMismatch)
  }

  /// Reads one copy of a run of bytes; returns what is wrong with it.
  private mutating func read(
    _ copy: MediumAddress, into target: UnsafeMutableRawBufferPointer, for offset: UInt64,
    firstMismatch: () -> Mismatch?
  ) -> FetchOutcome.Damage? {
    guard let installed = media.installed(copy.medium) else {
      return FetchOutcome.Damage(reason: media.failure(of: copy.medium))
    }
    let medium = installed.medium
    if readFrom[copy.medium] == nil { readFrom[copy.medium] = installed.serial }
    do throws(MediumError) {
      try medium.read(into: target, at: copy.offset)
    } catch {
      return note(error.description, isMismatch: false, at: copy, offset: offset)
    }
    guard let mismatch = firstMismatch() else { return nil }
    let place = copy.offset + UInt64(mismatch.position)
    return note(
      "\(medium.path): the data checksum does not match at byte \(place) "
        + "(inode \(portion.inode), offset \(mismatch.offset))",
      isMismatch: true, at: MediumAddress(medium: copy.medium, offset: place),
      offset: mismatch.offset)
  }

  /// Notes that what lies at a place is not what was written there.
  private mutating func note(
    _ reason: String, isMismatch: Bool, at place: MediumAddress, offset: UInt64
  ) -> FetchOutcome.Damage {
    badCopies.append(
      BadCopy(offset: offset, place: place, isMismatch: isMismatch, reason: reason))
    return FetchOutcome.Damage(reason: reason)
  }

  /// A block that does not match its checksum.
  private struct Mismatch {
    /// Bytes from the start of what was read.
    let position: Int
    /// Bytes from the start of the file, for messages.
    let offset: UInt64
  }

  /// The first block in a range of the file that does not match its checksum.
  private func firstMismatch(in range: Range<UInt64>) -> Mismatch? {
    for run in checksums {
      let covered = run.range.clamped(to: range)
      guard !covered.isEmpty else { continue }
      let block = UInt64(run.blockSize)
      let start = Int(covered.lowerBound - range.lowerBound)
      // A piece that begins or ends inside a block cannot be judged.
      guard (covered.lowerBound - run.offset) % block == 0,
        (covered.upperBound - run.offset) % block == 0
      else { return Mismatch(position: start, offset: covered.lowerBound) }
      let mismatch = run.algorithm.firstMismatch(
        in: UnsafeRawBufferPointer(bytes(of: covered)), blocksOf: run.blockSize,
        stored: run.bytes, from: Int((covered.lowerBound - run.offset) / block))
      if let mismatch {
        let position = start + mismatch * run.blockSize
        return Mismatch(position: position, offset: range.lowerBound + UInt64(position))
      }
    }
    return nil
  }
}

// MARK: Compressed runs

extension PortionFetch {
  /// Fetches a piece of a compressed run.
  ///
  /// - Parameter plan: what the piece belongs to.
  private mutating func fetch(
    _ source: ReadPlan.CompressedSource, range: Range<UInt64>, of plan: ReadPlan
  ) -> FetchOutcome.Damage? {
    let run = source.run
    if !runs.holds(run) {
      if let damage = load(source, range: range) { return damage }
      runs.isFilled(with: run)
    }
    // Other pieces may want more of the run.
    var end = 0
    for piece in plan.pieces {
      guard case .compressed(let other) = piece.source, other.run.isSameRun(as: run) else {
        continue
      }
      end = max(end, Int(other.run.offset) + piece.range.count)
    }
    do throws(DecodingError) {
      try runs.take(bytes(of: range), of: run, decodingTo: end)
      return nil
    } catch {
      let problem = "cannot be decoded: \(error)"
      guard let place = source.places.first?.copies.first else {
        return FetchOutcome.Damage(reason: "a compressed run \(problem)")
      }
      return note(
        "\(media[place.medium]?.path ?? "a medium"): the compressed bytes at byte \(place.offset) "
          + "\(problem) (inode \(portion.inode), offset \(range.lowerBound))",
        isMismatch: false, at: place, offset: range.lowerBound)
    }
  }

  /// Reads the stored bytes of a run, each part from the first copy whose checksums match.
  private mutating func load(
    _ source: ReadPlan.CompressedSource, range: Range<UInt64>
  ) -> FetchOutcome.Damage? {
    let extent = FileExtent(
      offset: range.lowerBound, length: range.upperBound - range.lowerBound,
      source: .compressed(source.run))
    let index = source.isChecksummed ? content.checksummedRun(of: extent) : nil
    let checksums = index.map { compressedChecksums[$0] }
    let room = runs.room(for: source.run)
    for place in source.places {
      let target = UnsafeMutableRawBufferPointer(rebasing: room[place.range])
      let damage = read(place.copies, into: target, for: range.lowerBound) {
        checksums?.firstMismatch(in: UnsafeRawBufferPointer(target), at: place.range)
          .map { Mismatch(position: $0, offset: range.lowerBound) }
      }
      if let damage { return damage }
    }
    return nil
  }
}

extension Representation.CompressedChecksums {
  /// Where in some stored bytes the first block lies that does not match its checksum.
  ///
  /// - Parameter place: where the bytes are in the run.
  fileprivate func firstMismatch(in stored: UnsafeRawBufferPointer, at place: Range<Int>) -> Int? {
    // A part that begins or ends inside a block cannot be judged.
    guard place.lowerBound.isMultiple(of: blockSize), place.count.isMultiple(of: blockSize) else {
      return 0
    }
    return algorithm.firstMismatch(
      in: stored, blocksOf: blockSize, stored: bytes, from: place.lowerBound / blockSize
    ).map { $0 * blockSize }
  }
}

extension Representation.ChecksumRun {
  /// The bytes of the file that the checksums cover.
  var range: Range<UInt64> {
    let blocks = UInt64(bytes.count / algorithm.width)
    return offset..<offset + blocks * UInt64(blockSize)
  }
}
