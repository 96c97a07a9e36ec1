public import DataSets
public import FrozenImage
import ImageReader

extension Layer {
  /// Fills the buffer with the layer's bytes at `offset`, down through the chain.
  ///
  /// - Throws: `StackError` when they lie beyond the layer's end or a medium cannot
  ///   be read.
  public func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(StackError) {
    let (end, overflow) = offset.addingReportingOverflow(UInt64(buffer.count))
    guard !overflow, end <= size else {
      throw StackError(
        .notFound, "\(title) has \(size) bytes; there is nothing to read at byte \(offset)")
    }
    guard !buffer.isEmpty else { return }
    switch substance {
    case .medium(let medium):
      do throws(MediumError) {
        try medium.read(into: buffer, at: offset)
      } catch {
        throw StackError(error)
      }
    case .mapped(let map):
      if let live = map.live { return try live.runs.read(into: buffer, at: offset) }
      for run in map.runs(in: offset..<end) {
        let range = run.range.clamped(to: offset..<end)
        try map.read(
          run, range: range,
          into: UnsafeMutableRawBufferPointer(
            rebasing: buffer[Int(range.lowerBound - offset)..<Int(range.upperBound - offset)]))
      }
    }
  }

  /// The layer's bytes of a range.
  ///
  /// - Throws: as `read(into:at:)`.
  public func bytes(at offset: UInt64, count: Int) throws(StackError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var failure: StackError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(StackError) { try read(into: buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// The extents of a file whose bytes lie in this layer: stored where a chain leads
  /// down to a medium, unwritten where the layer reads as zeros, encoded where only
  /// the production host can read.
  ///
  /// - Parameters:
  ///   - file: where the run begins in the file.
  ///   - range: the bytes of this layer.
  ///   - store: the number that the layer has as a store.
  public func fileExtents(
    at file: UInt64, of range: Range<UInt64>, store: StoreID
  ) -> [FileExtent] {
    var extents: [FileExtent] = []
    var position = range.lowerBound
    while position < range.upperBound {
      let (kind, end) = kind(at: position, limit: range.upperBound)
      let source: FileExtent.Source =
        switch kind {
        case .stored: .stored(StoreAddress(store: store, offset: position))
        case .zeros: .unwritten
        case .encoded: .encoded
        }
      extents.append(
        FileExtent(
          offset: file + (position - range.lowerBound), length: end - position, source: source))
      position = end
    }
    return extents
  }

  fileprivate enum Kind {
    case stored
    case zeros
    case encoded
  }

  /// What the byte at an address is in the end, and up to where its neighbours are
  /// the same.
  fileprivate func kind(at address: UInt64, limit: UInt64) -> (Kind, end: UInt64) {
    guard case .mapped(let map) = substance else { return (.stored, limit) }
    var found: Kind?
    var position = address
    while position < limit, let run = map.runs(in: position..<limit).first {
      let (kind, end) = map.kind(of: run, at: position, limit: min(run.range.upperBound, limit))
      guard found == nil || found == kind else { break }
      found = kind
      position = end
    }
    return (found ?? .encoded, max(position, address + 1))
  }
}

extension LayerMap {
  fileprivate func read(
    _ run: LayerRun, range: Range<UInt64>, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) {
    switch run.content {
    case .zeros:
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
    case .encoded:
      guard let decoder else { throw StackError(.malformed, "\(title) cannot be decoded") }
      try decoder.read(into: buffer, at: range.lowerBound)
    case .below(let placement):
      var position = range.lowerBound
      while position < range.upperBound {
        let piece = placement.piece(
          at: position - run.range.lowerBound, limit: range.upperBound - position)
        let start = Int(position - range.lowerBound)
        try read(
          piece,
          into: UnsafeMutableRawBufferPointer(
            rebasing: buffer[start..<start + Int(piece.length)]))
        position += piece.length
      }
    }
  }

  /// Reads from the first copy that can be read.
  private func read(
    _ piece: Placement<LayerAddress>.Piece, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) {
    var failure: StackError?
    for address in piece.addresses {
      do throws(StackError) {
        return try lower[address.layer].read(into: buffer, at: address.offset)
      } catch {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
  }

  fileprivate func kind(
    of run: LayerRun, at position: UInt64, limit: UInt64
  ) -> (Layer.Kind, end: UInt64) {
    switch run.content {
    case .zeros: return (.zeros, limit)
    case .encoded: return (.encoded, limit)
    case .below(let placement):
      // Striped over plain media, as it mostly is: the whole run is stored.
      let isPlain = placement.targets.allSatisfy {
        if case .medium = lower[$0.layer].substance { true } else { false }
      }
      if isPlain { return (.stored, limit) }
      let piece = placement.piece(at: position - run.range.lowerBound, limit: limit - position)
      // Copies are equal, so the first one speaks for all.
      let address = piece.addresses[0]
      let (kind, end) = lower[address.layer].kind(
        at: address.offset, limit: address.offset + piece.length)
      return (kind, position + (end - address.offset))
    }
  }
}

extension Placement<LayerAddress>.Piece {
  /// Where the equal copies of the piece lie.
  var addresses: [LayerAddress] {
    copies.map { LayerAddress(layer: $0.layer, offset: $0.offset + offset) }
  }
}

extension [LayerRun] {
  /// The runs that share bytes with a range, found by binary search among runs in ascending
  /// order.
  package func overlapping(_ range: Range<UInt64>) -> ArraySlice<LayerRun> {
    let first = partitioningIndex { $0.range.upperBound > range.lowerBound }
    return self[first...].prefix { $0.range.lowerBound < range.upperBound }
  }
}

extension Layer {
  /// The bytes that count of windows into this layer.
  package func counted(_ windows: [ProbeWindow]) throws(StackError) -> [UInt8] {
    var counted: [UInt8] = []
    for window in windows {
      let bytes = try bytes(at: window.offset, count: window.length)
      for fragment in window.fragments {
        counted += bytes[fragment.offset..<fragment.offset + fragment.length]
      }
    }
    return counted
  }
}
