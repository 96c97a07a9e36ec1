import Decoding
import FrozenImage
import ImageReader
import LogicalRepresentation

// Reading bytes from the first of their copies that is good.

extension PortionFetch {
  /// Reads one run of bytes from the first copy that can be read and whose
  /// checksums match; if every copy is to be read, also looks at the others.
  ///
  /// - Parameters:
  ///   - offset: of the file, that the bytes are read for.
  ///   - firstMismatch: the first block in the target that does not match its checksum.
  mutating func read(
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
  mutating func read(
    _ copy: MediumAddress, into target: UnsafeMutableRawBufferPointer, for offset: UInt64,
    firstMismatch: () -> Mismatch?
  ) -> FetchOutcome.Damage? {
    guard let installed = open[copy.medium] else {
      return FetchOutcome.Damage(reason: media.failure(of: copy.medium))
    }
    let medium = installed.medium
    if readFrom[copy.medium] == nil { readFrom[copy.medium] = installed.incarnation }
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
  mutating func note(
    _ reason: String, isMismatch: Bool, at place: MediumAddress, offset: UInt64
  ) -> FetchOutcome.Damage {
    badCopies.append(
      BadCopy(offset: offset, place: place, isMismatch: isMismatch, reason: reason))
    return FetchOutcome.Damage(reason: reason)
  }

  /// A block that does not match its checksum.
  struct Mismatch {
    /// Bytes from the start of what was read.
    let position: Int
    /// Bytes from the start of the file, for messages.
    let offset: UInt64
  }

  /// The first block in a range of the file that does not match its checksum.
  func firstMismatch(in range: Range<UInt64>) -> Mismatch? {
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

extension Representation.ChecksumRun {
  /// The bytes of the file that the checksums cover.
  var range: Range<UInt64> {
    let blocks = UInt64(bytes.count / algorithm.width)
    return offset..<offset + blocks * UInt64(blockSize)
  }
}
