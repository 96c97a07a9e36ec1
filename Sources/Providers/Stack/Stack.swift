public import FrozenImage
import ImageReader

/// A volume stack as floe found it: the layer that holds the data, everything below
/// it, and what the backup host has to know of it.
public struct Stack: Sendable {
  /// The number of the top layer's store, in every state of the stack.
  public static let topStore = StoreID(rawValue: 0)

  public let top: Layer
  /// Every layer once: the top first, media last; a layer's number as a store is its
  /// place here.
  public let layers: [Layer]
  private let identity: [MediumWindows]
  private let witness: [MediumWindows]

  /// The windows of one medium.
  private struct MediumWindows {
    let layer: Layer
    var windows: [Probe.Window] = []
  }

  /// - Parameters:
  ///   - identity: bytes of the top layer that never change while it is the right one.
  ///   - witness: bytes of the top layer that change before its content does.
  /// - Throws: `StackError` when the stack is too deep, or bytes of a probe are not
  ///   kept one to one on a medium.
  public init(
    top: Layer, identity: [ProbeWindow] = [], witness: [ProbeWindow] = []
  ) throws(StackError) {
    self.top = top
    layers = try Self.collect(top)
    self.identity = try Self.windows(
      \.identity, of: identity, top: top, layers: layers, stay: true)
    self.witness = try Self.windows(
      \.witness, of: witness, top: top, layers: layers, stay: false)
  }

  private static func collect(_ top: Layer) throws(StackError) -> [Layer] {
    var layers: [Layer] = []
    var level = [top]
    var depth = 0
    while !level.isEmpty {
      depth += 1
      guard depth <= StoreMap.maximumDepth else {
        throw StackError("the volume stack of \(top.title) is deeper than \(depth - 1) layers")
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
  ) throws(StackError) -> [MediumWindows] {
    var all: [(Layer, ProbeWindow)] = []
    for case .mapped(let map) in layers.reversed().map(\.substance) {
      for window in map[keyPath: known] { all.append((map.lower[window.layer], window)) }
    }
    for window in topWindows { all.append((top, window)) }
    var found: [MediumWindows] = []
    for (layer, window) in all {
      for (medium, window) in try layer.mediumWindows(of: window, stay: stay) {
        let index = found.firstIndex { $0.layer === medium }
        if let index {
          found[index].windows.append(window)
        } else {
          found.append(MediumWindows(layer: medium, windows: [window]))
        }
      }
    }
    return found
  }

  /// The stores that the backup host resolves places with.
  ///
  /// - Throws: `ChainError` when a run is malformed.
  public func storeMap() throws -> StoreMap {
    var stores: [StoreID: Store] = [:]
    var extents: [StoreID: [StoreExtent]] = [:]
    for layer in layers {
      let id = store(of: layer)
      switch layer.substance {
      case .medium:
        stores[id] = .physical(try medium(of: layer))
      case .mapped(let map):
        stores[id] = .logical(label: layer.title)
        extents[id] = try map.runs.compactMap { run in
          guard case .below(let stripes) = run.content else { return nil }
          let length = run.range.upperBound - run.range.lowerBound
          return try StoreExtent(
            offset: run.range.lowerBound, length: length, columns: stripes.columns.count,
            copies: 1, stripeLength: stripes.columns.count == 1 ? length : stripes.stripeLength,
            targets: stripes.columns.map {
              StoreAddress(store: store(of: map.lower[$0.layer]), offset: $0.offset)
            })
        }
      }
    }
    return try StoreMap(stores: stores, extents: extents)
  }

  /// The changes that the layers count, for the provider's own note of a state: 8 bytes
  /// for each layer that counts, little-endian.
  public var cursor: [UInt8] {
    layers.flatMap { layer -> [UInt8] in
      guard case .mapped(let map) = layer.substance, let sequence = map.sequence else { return [] }
      return (0..<8).map { UInt8(truncatingIfNeeded: sequence >> ($0 * 8)) }
    }
  }

  /// Whether more than one change may lie between a state and this one.
  func skipsStates(since cursor: [UInt8]) -> Bool {
    let now = self.cursor
    guard cursor.count == now.count, !now.isEmpty else { return true }
    var changes: UInt64 = 0
    for start in stride(from: 0, to: now.count, by: 8) {
      let number = { (bytes: [UInt8]) in
        bytes[start..<start + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      }
      guard number(now) >= number(cursor) else { return true }
      let (sum, overflow) = changes.addingReportingOverflow(number(now) - number(cursor))
      guard !overflow else { return true }
      changes = sum
    }
    return changes > 1
  }

  private func store(of layer: Layer) -> StoreID {
    StoreID(rawValue: UInt32(layers.firstIndex { $0 === layer } ?? 0))
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
        throw StackError("\(twin.path) and \(medium.path) cannot be told apart by their bytes")
      }
      media.append(
        MediumDescription(
          id: id, label: medium.path, size: medium.size,
          path: medium.path, hardwareID: HardwareID.of(device: medium.path),
          identity: identity, identityBytes: try layer.extract(identity),
          witness: try witnessProbe(of: layer)))
    }
    return media
  }

  /// What the witness of every medium shows now.
  ///
  /// - Throws: `StackError` when a medium cannot be read.
  public func configurationID() throws(StackError) -> ConfigurationID {
    var entries: [ConfigurationID.Entry] = []
    for layer in layers {
      guard case .medium = layer.substance else { continue }
      entries.append(
        ConfigurationID.Entry(
          medium: try medium(of: layer), bytes: try layer.extract(witnessProbe(of: layer))))
    }
    return ConfigurationID(entries: entries)
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
    guard let whole else { throw StackError("\(layer.title) is empty") }
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
      throw StackError("identity or witness of \(layer.title) lies in too many pieces")
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

extension Layer {
  /// Carries a window of this layer down to the media.
  fileprivate func mediumWindows(
    of window: ProbeWindow, stay: Bool
  ) throws(StackError) -> [(Layer, Probe.Window)] {
    switch substance {
    case .medium:
      guard
        let found = Probe.Window(
          offset: window.offset, length: window.length, fragments: window.fragments)
      else { throw StackError("a probe of \(title) at byte \(window.offset) is malformed") }
      return [(self, found)]
    case .mapped(let map):
      var found: [(Layer, Probe.Window)] = []
      if stay, map.moves { return found }
      let end = window.offset + UInt64(window.length)
      for run in map.runs(in: window.offset..<end) {
        let range = run.range.clamped(to: window.offset..<end)
        guard case .below(let stripes) = run.content else {
          throw StackError("\(title) keeps no plain bytes at byte \(range.lowerBound)")
        }
        var position = range.lowerBound
        while position < range.upperBound {
          let (address, length) = stripes.place(
            of: position - run.range.lowerBound, limit: range.upperBound - position)
          let part = Int(position - window.offset)..<Int(position + length - window.offset)
          if let piece = window.piece(part, at: address) {
            found += try map.lower[address.layer].mediumWindows(of: piece, stay: stay)
          }
          position += length
        }
      }
      return found
    }
  }

  fileprivate func extract(_ probe: Probe) throws(StackError) -> [UInt8] {
    var counted: [UInt8] = []
    for window in probe.windows {
      let bytes = try self.bytes(at: window.offset, count: window.length)
      counted += bytes.withUnsafeBytes { window.extract(from: $0) ?? [] }
    }
    return counted
  }
}

extension ProbeWindow {
  /// The part of the window that lies at an address below; `nil` when no byte of it
  /// counts.
  fileprivate func piece(_ range: Range<Int>, at address: LayerAddress) -> ProbeWindow? {
    let fragments = fragments.compactMap { fragment -> Probe.Fragment? in
      let part = (fragment.offset..<fragment.offset + fragment.length).clamped(to: range)
      guard !part.isEmpty else { return nil }
      return Probe.Fragment(offset: part.lowerBound - range.lowerBound, length: part.count)
    }
    guard !fragments.isEmpty else { return nil }
    return ProbeWindow(
      layer: address.layer, offset: address.offset, length: range.count, fragments: fragments)
  }
}

extension UniqueIdentifier {
  /// A UUID that is made of bytes: version 8 (RFC 9562), the 128-bit FNV-1a hash of
  /// them (draft-eastlake-fnv). Equal bytes give equal identifiers; it is no
  /// protection against bytes that are chosen to collide.
  init(naming bytes: [UInt8]) {
    var hash: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
    for byte in bytes {
      hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b
    }
    hash = hash & ~(0xF << 76) | 8 << 76
    hash = hash & ~(3 << 62) | 2 << 62
    let octets = (0..<16).map { UInt8(truncatingIfNeeded: hash >> UInt128(8 * (15 - $0))) }
    self = UniqueIdentifier(bytes: octets[...]) ?? .random()
  }
}
