import Decoding
import FrozenImage
import ImageReader
import LogicalRepresentation

// Compressed runs: their stored bytes are fetched, verified and decoded.

extension PortionFetch {
  /// Fetches a piece of a compressed run.
  ///
  /// - Parameter plan: what the piece belongs to.
  mutating func fetch(
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
