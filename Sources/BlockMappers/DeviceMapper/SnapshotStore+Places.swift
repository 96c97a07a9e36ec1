import DataSets
import FrozenImage
import VolumeLayers

extension SnapshotStore {
  /// Bytes of slots in use that the witness has, at most.
  private static let witnessLength: UInt64 = 4096

  var exceptionsPerArea: UInt64 { chunkSize / Field.slotLength }

  /// Where a slot lies, bytes from the start of the store; `nil` beyond its end.
  func slot(_ number: UInt64) -> UInt64? {
    let area = number / exceptionsPerArea
    let (areas, overflow) = area.multipliedReportingOverflow(by: exceptionsPerArea + 1)
    guard !overflow, areas < storeChunks, areas + 1 < storeChunks else { return nil }
    return (areas + 1) * chunkSize + number % exceptionsPerArea * Field.slotLength
  }

  /// The first slot that lies in one block, and one area, with a slot.
  func witnessStart(of number: UInt64) -> UInt64 {
    let inArea = number % exceptionsPerArea
    return number - inArea % (Self.witnessLength / Field.slotLength)
  }

  /// Whether a chunk of the store holds the header or exceptions rather than data.
  func isExceptions(_ chunk: UInt64) -> Bool {
    chunk == 0 || (chunk - 1) % (exceptionsPerArea + 1) == 0
  }

  /// - Throws: as `advance`.
  func requireValid(on layer: Layer) throws(StackError) {
    guard try Self.header(of: layer, title: title).chunkSize == chunkSize else {
      throw StackError(.malformed, "the store of the \(title) was made anew")
    }
  }

  /// The next free slot, which is zero until another chunk is copied; `nil` when there is no
  /// room for one.
  ///
  /// - Parameter index: of the store among the layers below.
  func vacant(as index: Int) -> ProbeWindow? {
    slot(count).map { ProbeWindow(layer: index, offset: $0, length: Int(Field.slotLength)) }
  }

  /// The header, the slots before the next free one, and that.
  ///
  /// - Parameter index: of the store among the layers below.
  func witness(as index: Int) -> [ProbeWindow] {
    var windows = [ProbeWindow(layer: index, offset: 0, length: Field.length)]
    /// The slots up to one, as far as they lie in its block and its area, and the area's
    /// first.
    func add(to number: UInt64) {
      let first = witnessStart(of: number)
      guard let slot = slot(number), let start = self.slot(first) else { return }
      let area = number - number % exceptionsPerArea
      if area < first, let start = self.slot(area) {
        windows.append(ProbeWindow(layer: index, offset: start, length: Int(Field.slotLength)))
      }
      windows.append(
        ProbeWindow(
          layer: index, offset: start, length: Int(slot + Field.slotLength - start)))
    }
    // The last one lies in another area.
    if count > 0, count % exceptionsPerArea == 0 { add(to: count - 1) }
    add(to: count)
    return windows
  }

  /// The snapshot's bytes: chunks that were copied in the store, all others in the origin.
  ///
  /// - Parameters:
  ///   - range: bytes of the snapshot.
  ///   - origin: its index among the layers below, and that of the store.
  func runs(in range: Range<UInt64>, origin: Int, store: Int) -> [LayerRun] {
    var runs: [LayerRun] = []
    var position = range.lowerBound
    func add(to end: UInt64, _ address: LayerAddress) {
      guard position < end else { return }
      runs.append(.linear(position..<end, at: address))
      position = end
    }
    var index = firstIndex(from: range.lowerBound / chunkSize)
    while index < copied.count {
      let start = copied[index] * chunkSize
      guard start < range.upperBound else { break }
      add(to: max(start, range.lowerBound), LayerAddress(layer: origin, offset: position))
      // Chunks that were copied one after the other lie one after the other.
      var next = index + 1
      while next < copied.count, copied[next] == copied[next - 1] + 1,
        places[next] == places[next - 1] + 1
      {
        next += 1
      }
      let end = start + UInt64(next - index) * chunkSize
      let place = places[index] * chunkSize + (position - start)
      add(to: min(end, range.upperBound), LayerAddress(layer: store, offset: place))
      index = next
    }
    add(to: range.upperBound, LayerAddress(layer: origin, offset: position))
    return runs
  }

  /// The first chunk that was copied, at or after a chunk.
  func firstIndex(from chunk: UInt64) -> Int {
    copied.partitioningIndex { $0 >= chunk }
  }
}
