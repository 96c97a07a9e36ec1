public import DataSets
public import FrozenImage

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

  /// A map that was right at a moment after the call; `nil` when that with a number was.
  ///
  /// It need not be right any more when it is returned: an answer tells of the moment at
  /// which it was looked for, and nobody waits until a busy volume rests.
  ///
  /// - Throws: as `read`.
  func successor(of number: UInt64) throws(StackError) -> LayerMap?

  /// Whether what the witness of a map shows since the map was made is that map's: its own
  /// witness, but for the places that were vacant (`LiveMap.vacant`).
  ///
  /// - Throws: as `read`.
  func confirms(_ number: UInt64) throws(StackError) -> Bool

  /// How full the place is that the layer needs to stay whole.
  ///
  /// - Throws: as `read`.
  func fill() throws(StackError) -> SnapshotFill
}

/// What a map was made from, and which one it is.
public struct LiveMap: Sendable {
  let runs: any LiveRuns
  let number: UInt64
  /// Bytes of the layers below, among those of the witness, that were zero when the map was
  /// right, and are no more when it is not: so what the witness showed then is known later.
  let vacant: [ProbeWindow]
  /// Tells the runs from others where they never change; `nil` where they may.
  let pin: String?

  package init(
    _ runs: any LiveRuns, number: UInt64, vacant: [ProbeWindow] = [], pin: String? = nil
  ) {
    self.runs = runs
    self.number = number
    self.vacant = vacant
    self.pin = pin
  }
}

extension Stack {
  /// What tells the runs of layers from others that never change (`FoundStack.pins`).
  package var pins: [String] {
    layers.compactMap { layer in
      guard case .mapped(let map) = layer.substance else { return nil }
      return map.live?.pin
    }
  }
}

extension Layer {
  /// Whether it, or a layer below, moves all the time.
  package var isLive: Bool {
    guard case .mapped(let map) = substance else { return false }
    return map.live != nil || map.lower.contains(where: \.isLive)
  }

  /// Whether it is a snapshot that nobody can write, or a part of one.
  package var isSnapshot: Bool {
    guard case .mapped(let map) = substance else { return false }
    return map.live != nil || map.lower.count == 1 && map.lower[0].isSnapshot
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
        history: map.history, sectorSize: map.sectorSize, allocates: map.allocates))
  }
}

extension Layer {
  /// Whether what the witness shows is that of the maps that move all the time.
  fileprivate func isConfirmed() throws(StackError) -> Bool {
    guard case .mapped(let map) = substance else { return true }
    if let live = map.live { return try live.runs.confirms(live.number) }
    for layer in map.lower where try !layer.isConfirmed() { return false }
    return true
  }
}

extension FoundStack {
  /// How full the place is that a snapshot below needs to stay whole, as the media tell; of
  /// several the fullest. `nil` where there is none, or it cannot be read.
  package func fill() -> SnapshotFill? {
    let fills = stack.layers.compactMap { layer -> SnapshotFill? in
      guard case .mapped(let map) = layer.substance else { return nil }
      return try? map.live?.runs.fill()
    }
    return fills.max { $0.percent < $1.percent }
  }

  /// Whether a layer of it moves all the time.
  package var isLive: Bool { stack.top.isLive }

  /// Whether both were found while nothing changed below the layers that move all the time.
  func hasBase(of other: FoundStack) -> Bool { stack.top.liveBases == other.stack.top.liveBases }

  /// What the witness showed at the moment when the layers that move all the time were found
  /// where they are in this stack; `nil` when that cannot be told any more.
  ///
  /// - Throws: `StackError` when something else changed.
  func settledID() throws(StackError) -> ConfigurationID? {
    let id = try stack.mappedID()
    return try stack.top.isConfirmed() ? id : nil
  }

  /// The stack as it was at a moment after the call, of whose layers only those moved that
  /// move all the time; `nil` when none did.
  ///
  /// - Throws: `StackError` when something else changed.
  package func successor() throws(StackError) -> FoundStack? {
    guard let top = try stack.top.successor() else { return nil }
    let successor = try Stack(
      top: top, identity: stack.topWindows.identity, witness: stack.topWindows.witness)
    let pins = pins.filter { !stack.pins.contains($0) } + successor.pins
    var found = FoundStack(successor, content: content, pins: pins, notes: notes)
    found.isSoHere = isSoHere
    found.liesOnRaid = liesOnRaid
    return found
  }
}
