public import DataSets

/// Runs of a layer that move while the layer is in use, so often that nobody could look for
/// the whole stack each time.
///
/// Who implements it validates what it reads, so the layers above never see a byte that is
/// not the image's.
public protocol LiveRuns: Sendable {
  /// What the witness of the layers below showed when the runs were looked for.
  var base: [UInt8] { get }

  /// Fills the buffer with the layer's bytes at `offset`, wherever they lie now. The range
  /// lies within the layer.
  ///
  /// - Throws: `StackError` also when a layer below changed since.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(StackError)

  /// The map that is right now; `nil` when that with a number still is.
  ///
  /// - Throws: as `read`.
  func successor(of number: UInt64) throws(StackError) -> LayerMap?
}

/// What a map was made from, and which one it is.
public struct LiveMap: Sendable {
  let runs: any LiveRuns
  let number: UInt64

  package init(_ runs: any LiveRuns, number: UInt64) {
    self.runs = runs
    self.number = number
  }
}

extension Layer {
  /// Whether it, or a layer below, moves all the time.
  var isLive: Bool {
    guard case .mapped(let map) = substance else { return false }
    return map.live != nil || map.lower.contains(where: \.isLive)
  }

  /// What the layers below those that move all the time showed.
  fileprivate var liveBases: [[UInt8]] {
    guard case .mapped(let map) = substance else { return [] }
    return (map.live.map { [$0.runs.base] } ?? []) + map.lower.flatMap(\.liveBases)
  }

  /// The layer as it is now; `nil` when nothing moved.
  fileprivate func successor() throws(StackError) -> Layer? {
    guard case .mapped(let map) = substance else { return nil }
    if let live = map.live {
      return try live.runs.successor(of: live.number).map { Layer($0) }
    }
    var lower: [Layer] = []
    var isSame = true
    for layer in map.lower {
      let next = try layer.successor()
      if next != nil { isSame = false }
      lower.append(next ?? layer)
    }
    guard !isSame else { return nil }
    return Layer(
      try LayerMap(
        title: map.title, size: map.size, lower: lower, runs: map.runs, identity: map.identity,
        witness: map.witness, decoder: map.decoder, moves: map.moves, state: map.state,
        history: map.history, sectorSize: map.sectorSize))
  }
}

extension FoundStack {
  package var isLive: Bool { stack.top.isLive }

  /// Whether both were found while nothing changed below the layers that move all the time.
  func hasBase(of other: FoundStack) -> Bool { stack.top.liveBases == other.stack.top.liveBases }

  /// The stack as it is now, of whose layers only those moved that move all the time; `nil`
  /// when none did.
  ///
  /// - Throws: `StackError` when something else changed.
  package func successor() throws(StackError) -> FoundStack? {
    guard let top = try stack.top.successor() else { return nil }
    let stack = try Stack(
      top: top, identity: stack.topWindows.identity, witness: stack.topWindows.witness)
    return FoundStack(stack, content: content, pins: pins, notes: notes)
  }
}
