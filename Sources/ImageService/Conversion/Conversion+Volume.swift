import FloeWire
import FoundationEssentials
import FrozenImage

extension Floe_V1_Store {
  init(_ id: StoreID, _ store: Store) {
    self.init()
    self.id = id.rawValue
    switch store {
    case .physical(let medium): physicalMedium = medium.rawValue.wire
    case .logical(let label): logicalLabel = label
    }
  }

  func decoded() throws(WireError) -> (StoreID, Store) {
    switch kind {
    case .physicalMedium(let medium)?:
      let medium = try UniqueIdentifier(wire: medium, "the medium of store \(id)")
      return (StoreID(rawValue: id), .physical(MediumID(rawValue: medium)))
    case .logicalLabel(let label)?:
      return (StoreID(rawValue: id), .logical(label: try label.checked("the label of store \(id)")))
    case nil: throw WireError("store \(id) is neither physical nor logical")
    }
  }
}

extension Floe_V1_StoreExtent {
  init(_ id: StoreID, _ extent: StoreExtent) {
    self.init()
    store = id.rawValue
    offset = extent.offset
    length = extent.length
    let placement = extent.placement
    if placement.columns > 1, placement.columnStep != placement.stripeLength {
      spacedColumns = UInt32(clamping: placement.columns)
      columnStep = placement.columnStep
    } else {
      columns = UInt32(clamping: placement.columns)
    }
    copies = UInt32(clamping: placement.copies)
    copiesInSync = placement.copyState == .inSync
    stripeLength = placement.stripeLength
    targets = placement.targets.map { target in
      var wire = Floe_V1_StoreAddress()
      wire.store = target.store.rawValue
      wire.offset = target.offset
      return wire
    }
  }

  func decoded() throws(WireError) -> (StoreID, StoreExtent) {
    let isSpaced = columns == 0 && spacedColumns > 0
    do throws(ChainError) {
      let extent = try StoreExtent(
        offset: offset, length: length, columns: Int(isSpaced ? spacedColumns : columns),
        copies: Int(copies), stripeLength: stripeLength, columnStep: isSpaced ? columnStep : nil,
        targets: targets.map {
          StoreAddress(store: StoreID(rawValue: $0.store), offset: $0.offset)
        }, copyState: copiesInSync ? .inSync : .unknown)
      return (StoreID(rawValue: store), extent)
    } catch {
      throw WireError("store \(store): \(error)")
    }
  }
}

extension StoreMapChange.Part {
  var wire: Floe_V1_StoreRange {
    var wire = Floe_V1_StoreRange()
    wire.store = store.rawValue
    wire.offset = range.lowerBound
    wire.length = range.upperBound - range.lowerBound
    return wire
  }

  init(wire: Floe_V1_StoreRange) throws(WireError) {
    let (end, overflow) = wire.offset.addingReportingOverflow(wire.length)
    guard wire.length > 0, !overflow else {
      throw WireError("a replaced range of store \(wire.store) has the length \(wire.length)")
    }
    self.init(store: StoreID(rawValue: wire.store), range: wire.offset..<end)
  }
}

extension Probe {
  var wire: Floe_V1_Probe {
    var wire = Floe_V1_Probe()
    wire.windows = windows.map(\.wire)
    return wire
  }

  init(wire: Floe_V1_Probe, _ what: String) throws(WireError) {
    var windows: [Window] = []
    for window in wire.windows { windows.append(try Window(wire: window, what)) }
    guard let probe = Probe(windows: windows) else {
      throw WireError("\(what) has \(windows.count) windows, or too many bytes in them")
    }
    self = probe
  }
}

extension Probe.Window {
  fileprivate var wire: Floe_V1_Probe.Window {
    var wire = Floe_V1_Probe.Window()
    wire.offset = offset
    wire.length = UInt32(clamping: length)
    wire.fragments = fragments.map { fragment in
      var wire = Floe_V1_Probe.Fragment()
      wire.offset = UInt32(clamping: fragment.offset)
      wire.length = UInt32(clamping: fragment.length)
      return wire
    }
    return wire
  }

  fileprivate init(wire: Floe_V1_Probe.Window, _ what: String) throws(WireError) {
    let fragments = wire.fragments.map {
      Probe.Fragment(offset: Int($0.offset), length: Int($0.length))
    }
    guard
      let window = Self(offset: wire.offset, length: Int(wire.length), fragments: fragments)
    else { throw WireError("\(what) has a window or a fragment that is out of range") }
    self = window
  }
}

extension MediumDescription {
  var wire: Floe_V1_Medium {
    var wire = Floe_V1_Medium()
    wire.id = id.rawValue.wire
    wire.label = label
    wire.size = size
    wire.path = path
    wire.hardwareID = hardwareID
    wire.identity = identity.wire
    wire.identityBytes = Data(identityBytes)
    if let witness { wire.witness = witness.wire }
    return wire
  }

  init(wire: Floe_V1_Medium) throws(WireError) {
    let id = MediumID(rawValue: try UniqueIdentifier(wire: wire.id, "a medium"))
    let identity = try Probe(wire: wire.identity, "the identity of medium \(id)")
    guard wire.identityBytes.count == identity.byteCount else {
      throw WireError("the identity of medium \(id) does not have the length of its fragments")
    }
    let witness: Probe? =
      wire.hasWitness ? try Probe(wire: wire.witness, "the witness of medium \(id)") : nil
    self.init(
      id: id, label: try wire.label.checked("the label of medium \(id)"), size: wire.size,
      path: try wire.path.checked("the path of medium \(id)"),
      hardwareID: try wire.hardwareID.checked("the hardware identifier of medium \(id)"),
      identity: identity, identityBytes: [UInt8](wire.identityBytes), witness: witness)
  }
}

extension String {
  /// The text itself, unless it is longer than a text for people may be.
  func checked(_ what: String) throws(WireError) -> String {
    guard utf8.count <= WireLimit.textLength else {
      throw WireError("\(what) has \(utf8.count) bytes, more than \(WireLimit.textLength)")
    }
    return self
  }
}
