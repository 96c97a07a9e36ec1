public import DataSets
public import FrozenImage
import HostSystem
import ImageReader

/// A volume stack as floe found it: the layer that holds the data, everything below
/// it, and what the backup host has to know of it.
public struct Stack: Sendable {
  /// The number of the top layer's store, in every state of the stack.
  public static let topStore = StoreID(rawValue: 0)

  /// The layer that holds the data, the last one on the way up.
  public let top: Layer
  /// Every layer once: the top first, media last; a layer's number as a store is its
  /// place here.
  public let layers: [Layer]
  /// What the stack was told of the top layer.
  let topWindows: (identity: [ProbeWindow], witness: [ProbeWindow])
  private let identity: [MediumWindows]
  private let witness: [MediumWindows]
  /// Parts of the witness that were zero when the maps were right (`LiveMap.vacant`).
  private let vacant: [MediumWindows]
  /// What proves that a read's mapping held: a witness of which a part is not kept one
  /// to one on a medium, as in a compressed cluster, does not show every change.
  public let validation: Validation

  /// The windows of one medium.
  private struct MediumWindows {
    let layer: Layer
    var windows: [Probe.Window] = []
  }

  /// - Parameters:
  ///   - identity: bytes of the top layer that never change while it is the right one.
  ///   - witness: bytes of the top layer that change before its content does.
  /// - Throws: `StackError` when the stack is too deep, or a probe is malformed.
  public init(
    top: Layer, identity: [ProbeWindow] = [], witness: [ProbeWindow] = []
  ) throws(StackError) {
    self.top = top
    topWindows = (identity, witness)
    layers = try Self.collect(top)
    (self.identity, _) = try Self.windows(
      \.identity, of: identity, top: top, layers: layers, stay: true)
    let (found, isComplete) = try Self.windows(
      \.witness, of: witness, top: top, layers: layers, stay: false)
    self.witness = found
    (vacant, _) = try Self.windows(\.vacant, of: [], top: top, layers: layers, stay: false)
    validation = isComplete ? .witness : .question
  }

  private static func collect(_ top: Layer) throws(StackError) -> [Layer] {
    var layers: [Layer] = []
    var level = [top]
    var depth = 0
    while !level.isEmpty {
      depth += 1
      guard depth <= StoreMap.maximumDepth else {
        throw StackError(
          .malformed, "the volume stack of \(top.title) is deeper than \(depth - 1) layers")
      }
      // A layer that is reached on several ways counts where it is deepest.
      layers.removeAll { layer in level.contains { $0 === layer } }
      layers += level
      var next: [Layer] = []
      for case .mapped(let map) in level.map(\.substance) {
        for layer in map.lower where !next.contains(where: { $0 === layer }) { next.append(layer) }
      }
      level = next
    }
    let isMedium = { (layer: Layer) in
      if case .medium = layer.substance { true } else { false }
    }
    return layers.filter { !isMedium($0) } + layers.filter(isMedium)
  }

  /// The windows of every medium that has any, carried down from the layers that know
  /// them.
  ///
  /// - Parameter stay: whether only windows count whose place on the medium never changes.
  private static func windows(
    _ known: KeyPath<LayerMap, [ProbeWindow]>, of topWindows: [ProbeWindow], top: Layer,
    layers: [Layer], stay: Bool
  ) throws(StackError) -> (windows: [MediumWindows], isComplete: Bool) {
    var all: [(Layer, ProbeWindow)] = []
    for case .mapped(let map) in layers.reversed().map(\.substance) {
      for window in map[keyPath: known] { all.append((map.lower[window.layer], window)) }
    }
    for window in topWindows { all.append((top, window)) }
    var found: [MediumWindows] = []
    var isComplete = true
    for (layer, window) in all {
      let carried = try layer.mediumWindows(of: window, stay: stay, isComplete: &isComplete)
      for (medium, window) in carried {
        let index = found.firstIndex { $0.layer === medium }
        if let index {
          // Several probes may lie in one compressed cluster.
          if !found[index].windows.contains(window) { found[index].windows.append(window) }
        } else {
          found.append(MediumWindows(layer: medium, windows: [window]))
        }
      }
    }
    return (found, isComplete)
  }

  /// The stores that the backup host resolves places with.
  ///
  /// - Throws: `ChainError` when a run is malformed.
  public func storeMap() throws -> StoreMap {
    var stores: [StoreID: Store] = [:]
    var extents: [StoreID: [StoreExtent]] = [:]
    for layer in layers {
      let id = try store(of: layer)
      switch layer.substance {
      case .medium:
        stores[id] = .physical(try medium(of: layer))
      case .mapped(let map):
        stores[id] = .logical(label: layer.title)
        extents[id] = try map.runs.flatMap { try storeExtents(of: $0, in: map, layer) }
      }
    }
    return try StoreMap(stores: stores, extents: extents)
  }

  /// - Throws: `StackError` for a layer that is none of this stack's.
  private func store(of layer: Layer) throws(StackError) -> StoreID {
    guard let index = layers.firstIndex(where: { $0 === layer }) else {
      throw StackError(.invalid, "\(layer.title) is no layer of the volume stack of \(top.title)")
    }
    return StoreID(rawValue: UInt32(index))
  }

  /// The media at the bottom, with their identities and witnesses.
  ///
  /// - Throws: `StackError` when a medium cannot be read.
  public func media() throws(StackError) -> [MediumDescription] {
    var media: [MediumDescription] = []
    for layer in layers {
      guard case .medium(let medium) = layer.substance else { continue }
      let identity = try identityProbe(of: layer)
      let id = try self.medium(of: layer)
      if let twin = media.first(where: { $0.id == id }) {
        throw StackError(
          .medium, "\(twin.path) and \(medium.path) cannot be told apart by their bytes")
      }
      media.append(
        MediumDescription(
          id: id, label: medium.path, size: medium.size,
          path: medium.path,
          hardwareID: Sysfs().hardwareID(ofDevice: medium.path)?.description ?? "",
          identity: identity, identityBytes: try layer.extract(identity),
          witness: try witnessProbe(of: layer)))
    }
    return media
  }

  /// What the witness of every medium shows now.
  ///
  /// - Throws: `StackError` when a medium cannot be read.
  public func configurationID() throws(StackError) -> ConfigurationID {
    try configurationID { _ in [] }
  }

  /// What the witness showed when the maps were right, if nothing else changed since.
  ///
  /// - Throws: `StackError` when a medium cannot be read.
  func mappedID() throws(StackError) -> ConfigurationID {
    try configurationID { layer in vacant.first { $0.layer === layer }?.windows ?? [] }
  }

  /// - Parameter vacant: what counts as zeros of a medium.
  private func configurationID(
    vacant: (Layer) -> [Probe.Window]
  ) throws(StackError) -> ConfigurationID {
    var entries: [ConfigurationID.Entry] = []
    for layer in layers {
      guard case .medium = layer.substance else { continue }
      entries.append(
        ConfigurationID.Entry(
          medium: try medium(of: layer),
          bytes: try layer.extract(witnessProbe(of: layer), vacant: vacant(layer))))
    }
    return ConfigurationID(entries: entries)
  }

  /// The store extents of a run: none for what nothing below holds.
  private func storeExtents(
    of run: LayerRun, in map: LayerMap, _ layer: Layer
  ) throws -> [StoreExtent] {
    guard case .below(let placement) = run.content else { return [] }
    let targets = try placement.map { address in
      StoreAddress(store: try store(of: map.lower[address.layer]), offset: address.offset)
    }
    if placement.targets.allSatisfy({ map.lower[$0.layer].isSolid }) {
      return [
        try StoreExtent(
          offset: run.range.lowerBound, length: run.range.upperBound - run.range.lowerBound,
          placement: targets)
      ]
    }
    // A layer below has parts of its own that nothing holds: they are left out here too.
    var extents: [StoreExtent] = []
    for part in layer.fileExtents(at: 0, of: run.range, store: try store(of: layer)) {
      guard case .stored(let address) = part.source else { continue }
      var position = address.offset
      while position < address.offset + part.length {
        let piece = targets.piece(
          at: position - run.range.lowerBound, limit: address.offset + part.length - position)
        let copies = piece.copies.map {
          StoreAddress(store: $0.store, offset: $0.offset + piece.offset)
        }
        extents.append(
          try StoreExtent(
            offset: position, length: piece.length, columns: 1, copies: copies.count,
            stripeLength: .max, targets: copies, copyState: placement.copyState))
        position += piece.length
      }
    }
    return extents
  }

  /// Where a medium shows what may have changed: bytes from its start.
  func witnessPlaces(on layer: Layer) -> [UInt64] {
    witness.first { $0.layer === layer }?.windows.map(\.offset) ?? []
  }

  /// A medium without an identity of its own is known by its first bytes.
  private func identityProbe(of layer: Layer) throws(StackError) -> Probe {
    if let known = identity.first(where: { $0.layer === layer }) {
      return try Self.probe(known.windows, of: layer)
    }
    let length = Int(min(layer.size, 4096))
    let whole = Probe(
      offset: 0, length: length, fragments: [Probe.Fragment(offset: 0, length: length)])
    guard let whole else { throw StackError(.malformed, "\(layer.title) is empty") }
    return whole
  }

  /// Every medium has a witness: one without bytes that change shows at least that it
  /// is there and is the right one.
  private func witnessProbe(of layer: Layer) throws(StackError) -> Probe {
    guard let known = witness.first(where: { $0.layer === layer }) else {
      return try identityProbe(of: layer)
    }
    return try Self.probe(known.windows, of: layer)
  }

  private static func probe(
    _ windows: [Probe.Window], of layer: Layer
  ) throws(StackError) -> Probe {
    guard let probe = Probe(windows: windows) else {
      throw StackError(.noRoom, "identity or witness of \(layer.title) lies in too many pieces")
    }
    return probe
  }

  /// A medium's identifier is made of its identity's bytes, and so survives a restart
  /// and a new path.
  private func medium(of layer: Layer) throws(StackError) -> MediumID {
    MediumID(
      rawValue: UniqueIdentifier(naming: try layer.extract(identityProbe(of: layer))))
  }
}
