import DataSets
import FrozenImage
import Synchronization
import VolumeLayers

/// The runs of a thin volume that nobody writes. Its chunks stay where they are while others
/// of the pool are written, for the others get new ones; so what is read of its tree holds
/// for as long as its entry does, and only the way to that is looked at anew with each commit
/// of the pool.
final class ThinRuns: LiveRuns {
  /// What its volume manager tells of a thin volume.
  struct Description: Sendable {
    /// "logical volume vg/snap".
    let title: String
    /// "thin pool vg/pool".
    let pool: String
    /// Bytes.
    let size: UInt64
    /// Its number in the pool.
    let device: UInt64
    /// Bytes of a chunk.
    let chunkSize: UInt64
    let data: Layer
    let metadata: Layer
  }

  private struct Known {
    let superblock: ThinMetadata.Superblock
    let entry: ThinMetadata.Entry
    let runs: [LayerRun]
  }

  let description: Description
  private let below: LiveBase
  private let metadata: ThinMetadata
  private let known: Mutex<Known>

  /// Times that something is looked for while the pool commits.
  private static let attempts = 100

  var base: [UInt8] { below.bytes }

  /// - Throws: `StackError` when the metadata are damaged, or the pool has no such volume.
  init(_ description: Description) throws(StackError) {
    self.description = description
    below = try LiveBase(of: [description.data, description.metadata])
    metadata = ThinMetadata(on: description.metadata, title: description.pool)
    known = Mutex(try Self.look(description, metadata, below))
  }

  /// The volume's runs, found between two equal looks at its entry.
  private static func look(
    _ description: Description, _ metadata: ThinMetadata, _ below: LiveBase
  ) throws(StackError) -> Known {
    var failure = StackError(.inUse, "the \(description.pool) commits all the time")
    for _ in 0..<attempts {
      do throws(StackError) {
        let (superblock, entry) = try find(description, metadata)
        guard superblock.chunkSize == description.chunkSize else {
          throw StackError(
            .malformed,
            "the \(description.pool) has chunks of \(superblock.chunkSize) bytes, not of "
              + "\(description.chunkSize)")
        }
        let runs = try layerRuns(of: metadata.runs(of: entry), description)
        if try find(description, metadata).entry == entry {
          return Known(superblock: superblock, entry: entry, runs: runs)
        }
      } catch {
        if error.isGone { throw error }
        failure = error
        // What is damaged stays so; what was written anew meanwhile does not.
        try below.requirePresent(description.title)
        let before = try metadata.superblock()
        if try metadata.superblock() == before, let again = try? find(description, metadata),
          (try? metadata.runs(of: again.entry)) == nil
        {
          throw error
        }
      }
    }
    throw failure
  }

  /// The volume's entry, from the superblock down: one state if that is the same afterwards.
  private static func find(
    _ description: Description, _ metadata: ThinMetadata
  ) throws(StackError) -> (superblock: ThinMetadata.Superblock, entry: ThinMetadata.Entry) {
    var failure: StackError?
    for _ in 0..<attempts {
      let superblock = try metadata.superblock()
      let entry: ThinMetadata.Entry?
      do throws(StackError) {
        entry = try metadata.entry(of: description.device, in: superblock)
      } catch {
        guard try metadata.superblock() != superblock else { throw error }
        failure = error
        continue
      }
      guard try metadata.superblock() == superblock else { continue }
      guard let entry else {
        throw .gone("the \(description.title) was removed from the \(description.pool)")
      }
      return (superblock, entry)
    }
    throw failure ?? StackError(.inUse, "the \(description.pool) commits all the time")
  }

  private static func layerRuns(
    of runs: [ThinMetadata.Run], _ description: Description
  ) throws(StackError) -> [LayerRun] {
    let size = description.chunkSize
    let places = description.data.size / size
    var found: [LayerRun] = []
    var position: UInt64 = 0
    for run in runs {
      let (start, overflow) = run.chunks.lowerBound.multipliedReportingOverflow(by: size)
      guard !overflow, start < description.size else { break }
      let count = UInt64(run.chunks.count)
      guard run.place < places, count <= places - run.place else {
        throw StackError(
          .malformed,
          "the metadata of the \(description.pool) say that chunk \(run.chunks.lowerBound) of the "
            + "\(description.title) lies beyond the pool")
      }
      if position < start { found.append(LayerRun(position..<start, .zeros)) }
      let (end, isLong) = start.addingReportingOverflow(count * size)
      position = isLong ? description.size : min(end, description.size)
      found.append(.linear(start..<position, at: LayerAddress(layer: 0, offset: run.place * size)))
    }
    if position < description.size { found.append(LayerRun(position..<description.size, .zeros)) }
    return found
  }

  /// The map of what is known by now.
  func map() throws(StackError) -> LayerMap {
    try map(known.withLock { $0 })
  }

  private func map(_ known: Known) throws(StackError) -> LayerMap {
    let lower = [description.data, description.metadata]
    return try LayerMap(
      title: description.title, size: description.size, lower: lower, runs: known.runs,
      witness: [metadata.witness(as: 1)], moves: true,
      sectorSize: lower.compactMap(\.sectorSize).max(),
      live: LiveMap(
        self, number: Self.number(of: known.entry),
        pin: "chunks of device \(description.device): \(known.runs.digest)"))
  }

  /// A pool has less than 2^32 blocks of metadata.
  private static func number(of entry: ThinMetadata.Entry) -> UInt64 {
    entry.root << 32 | UInt64(entry.checksum)
  }

  func fill() throws(StackError) -> SnapshotFill {
    let superblock = try metadata.superblock()
    // "thin pool vg/pool".
    let name = description.pool.split(separator: " ").last ?? ""
    return SnapshotFill(
      title: "the \(description.pool)", data: superblock.data.percent,
      metadata: superblock.metadata.percent,
      advice: "extend it (lvextend \(name); its metadata with --poolmetadatasize) before it is full"
    )
  }

  func successor(of number: UInt64) throws(StackError) -> LayerMap? {
    let now = try present()
    return Self.number(of: now.entry) == number ? nil : try map(now)
  }

  func confirms(_ number: UInt64) throws(StackError) -> Bool {
    Self.number(of: try present().entry) == number
  }

  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StackError) {
    for _ in 0..<Self.attempts {
      let before = known.withLock { $0 }
      for run in before.runs.overlapping(offset..<offset + UInt64(buffer.count)) {
        let range = run.range.clamped(to: offset..<offset + UInt64(buffer.count))
        let part = UnsafeMutableRawBufferPointer(
          rebasing: buffer[Int(range.lowerBound - offset)..<Int(range.upperBound - offset)])
        guard case .below(let placement) = run.content, let place = placement.targets.first else {
          part.initializeMemory(as: UInt8.self, repeating: 0)
          continue
        }
        try description.data.read(
          into: part, at: place.offset + (range.lowerBound - run.range.lowerBound))
      }
      // A chunk that the volume no longer had was given away by a commit only.
      if try present().entry == before.entry { return }
    }
    throw StackError(.inUse, "the \(description.title) is written")
  }

  /// What is right now.
  private func present() throws(StackError) -> Known {
    try below.requirePresent(description.title)
    let last = known.withLock { $0 }
    if try metadata.superblock() == last.superblock { return last }
    let (superblock, entry) = try Self.find(description, metadata)
    let next =
      entry == last.entry
      ? Known(superblock: superblock, entry: entry, runs: last.runs)
      : try Self.look(description, metadata, below)
    try below.requirePresent(description.title)
    known.withLock { $0 = next }
    return next
  }
}

extension [LayerRun] {
  /// Tells them from others: how many there are, and the CRC-32C of where each lies.
  fileprivate var digest: String {
    var checksum: UInt32 = 0
    for run in self {
      var place: UInt64 = .max
      if case .below(let placement) = run.content, let address = placement.targets.first {
        place = address.offset
      }
      let numbers = (run.range.lowerBound.littleEndian, place.littleEndian)
      checksum = Swift.withUnsafeBytes(of: numbers) { CRC32C.checksum($0, continuing: checksum) }
    }
    let text = Swift.withUnsafeBytes(of: checksum.bigEndian) { $0.hexadecimal }
    return "\(count) runs, CRC-32C \(text)"
  }
}
