import DataSets
import FrozenImage
import Synchronization
import VolumeLayers

/// The runs of a thick snapshot, which move from the origin to the store while the origin
/// is written: what was read of the store is kept, and only what was added is read anew.
final class SnapshotRuns: LiveRuns {
  /// What its volume manager tells of a snapshot.
  struct Description: Sendable {
    /// "logical volume vg/snap".
    let title: String
    /// "vg/snap".
    var name = ""
    /// Bytes.
    let size: UInt64
    let origin: Layer
    let store: Layer
    /// Looks at an area of the store that is written at this moment, until it counts as torn.
    var looks = 50
  }

  let description: Description
  var base: [UInt8] { below.bytes }
  private let below: LiveBase
  private let known: Mutex<SnapshotStore>

  /// - Throws: `StackError` when the store is none, is damaged or overflowed.
  init(_ description: Description) throws(StackError) {
    self.description = description
    guard description.size <= description.origin.size else {
      throw StackError(.malformed, "the \(description.title) is larger than its origin")
    }
    below = try LiveBase(of: [description.origin, description.store])
    var store = try SnapshotStore(
      on: description.store, originSize: description.size, title: description.title,
      looks: description.looks)
    try store.advance(on: description.store)
    known = Mutex(store)
  }

  /// The map of what is known by now.
  func map() throws(StackError) -> LayerMap {
    try map(known.withLock { $0 })
  }

  private func map(_ store: SnapshotStore) throws(StackError) -> LayerMap {
    let lower = [description.origin, description.store]
    return try LayerMap(
      title: description.title, size: description.size, lower: lower,
      runs: store.runs(in: 0..<description.size, origin: 0, store: 1),
      witness: store.witness(as: 1), moves: true,
      sectorSize: lower.compactMap(\.sectorSize).max(),
      live: LiveMap(self, number: store.number, vacant: [store.vacant(as: 1)].compactMap { $0 }))
  }

  func successor(of number: UInt64) throws(StackError) -> LayerMap? {
    let store = try advance(known.withLock { $0 })
    return store.number == number ? nil : try map(store)
  }

  /// Slots that are in use change only where a loss of power took them back, and those of a
  /// later state do not count.
  func confirms(_ number: UInt64) throws(StackError) -> Bool {
    try advance(known.withLock { $0 }).continues(number)
  }

  func fill() throws(StackError) -> SnapshotFill {
    let store = try advance(known.withLock { $0 })
    return SnapshotFill(
      title: "the snapshot \(description.name)", data: store.percent,
      advice: "once it is full the image is lost: extend it (lvextend --size +SIZE "
        + "\(description.name)), or thaw the image when it is not needed any more")
  }

  /// Ends however busy the origin is: each chunk is copied once.
  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StackError) {
    let range = offset..<offset + UInt64(buffer.count)
    var store = known.withLock { $0 }
    while true {
      let runs = store.runs(in: range, origin: 0, store: 1)
      for run in runs {
        guard case .below(let placement) = run.content, let place = placement.targets.first else {
          continue
        }
        let layer = place.layer == 0 ? description.origin : description.store
        let part =
          Int(run.range.lowerBound - offset)..<Int(run.range.upperBound - offset)
        try layer.read(
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[part]), at: place.offset)
      }
      // After the last byte was read: what was copied since was copied before it changed.
      let next = try advance(store)
      if next.runs(in: range, origin: 0, store: 1) == runs { return }
      store = next
    }
  }

  /// The store at a moment after the call.
  private func advance(_ store: SnapshotStore) throws(StackError) -> SnapshotStore {
    var next = store
    try next.advance(on: description.store)
    try below.requirePresent(description.title)
    let found = next
    known.withLock { known in
      if known.number < found.number { known = found }
    }
    return found
  }
}
