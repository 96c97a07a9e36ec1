import FloeWire
import FoundationEssentials
import FrozenImage

extension UniqueIdentifier {
  var wire: Data { Data(bytes) }

  /// - Parameter what: what it identifies, for the message.
  init(wire: Data, _ what: String) throws(WireError) {
    guard let id = UniqueIdentifier(bytes: wire) else {
      throw WireError("the identifier of \(what) has \(wire.count) bytes, not 16")
    }
    self = id
  }
}

extension ConfigurationID {
  init(wire: Data) throws(WireError) {
    guard let id = ConfigurationID(bytes: [UInt8](wire)) else {
      throw WireError("the configuration ID is malformed")
    }
    guard id.entries.count <= WireLimit.media else {
      throw WireError("the configuration ID names \(id.entries.count) media")
    }
    self = id
  }
}

extension MappingState {
  var wire: Floe_V1_MappingState {
    var wire = Floe_V1_MappingState()
    wire.configurationID = Data(configurationID.bytes)
    wire.cursor = Data(cursor)
    wire.marks = marks.map { mark in
      var wire = Floe_V1_StateMark()
      wire.medium = mark.medium.rawValue.wire
      wire.offset = mark.offset
      wire.data = Data(mark.bytes)
      return wire
    }
    return wire
  }

  init(wire: Floe_V1_MappingState) throws(WireError) {
    guard wire.cursor.count <= WireLimit.cursorLength else {
      throw WireError("the provider's note has \(wire.cursor.count) bytes")
    }
    guard wire.marks.count <= StateMark.maximumCount else {
      throw WireError("the state has \(wire.marks.count) marks")
    }
    self.init(
      configurationID: try ConfigurationID(wire: wire.configurationID),
      cursor: [UInt8](wire.cursor), marks: try wire.marks.map(StateMark.init(wire:)))
  }
}

extension StateMark {
  fileprivate init(wire: Floe_V1_StateMark) throws(WireError) {
    let medium = MediumID(rawValue: try UniqueIdentifier(wire: wire.medium, "a mark's medium"))
    guard
      let mark = StateMark(medium: medium, offset: wire.offset, bytes: [UInt8](wire.data))
    else { throw WireError("a mark of the state is out of range") }
    self = mark
  }
}

extension MappingQuestion {
  /// Portions over the limit are left out: the contract of the answer allows any
  /// portion to be missing in it.
  func wire(image: UniqueIdentifier) -> Floe_V1_AnswerRequest {
    var wire = Floe_V1_AnswerRequest()
    wire.image = image.wire
    // Marks tell the client of a state, and the service nothing.
    wire.known =
      MappingState(configurationID: known.configurationID, cursor: known.cursor).wire
    wire.found = Data(found.bytes)
    wire.portions = portions.prefix(WireLimit.portions).map(\.wire)
    // All of them: who is left out would be taken for validated.
    wire.validating = validating.map(\.wire)
    return wire
  }

  init(wire: Floe_V1_AnswerRequest) throws(WireError) {
    guard wire.portions.count <= WireLimit.portions else {
      throw WireError(
        "the question has \(wire.portions.count) portions, more than \(WireLimit.portions)")
    }
    var portions: [Portion] = []
    for portion in wire.portions { portions.append(try Portion(wire: portion)) }
    guard wire.validating.count <= WireLimit.portions else {
      throw WireError(
        "the question validates \(wire.validating.count) portions, more than "
          + "\(WireLimit.portions)")
    }
    var validating: [Portion] = []
    for portion in wire.validating { validating.append(try Portion(wire: portion)) }
    self.init(
      known: try MappingState(wire: wire.known), found: try ConfigurationID(wire: wire.found),
      portions: portions, validating: validating)
  }
}

extension Portion {
  fileprivate var wire: Floe_V1_Portion {
    var wire = Floe_V1_Portion()
    wire.inode = inode
    wire.offset = range.lowerBound
    wire.length = range.upperBound - range.lowerBound
    return wire
  }

  init(wire: Floe_V1_Portion) throws(WireError) {
    let (end, overflow) = wire.offset.addingReportingOverflow(wire.length)
    guard wire.length > 0, !overflow else {
      throw WireError("the portion at \(wire.offset) has the length \(wire.length)")
    }
    self.init(inode: wire.inode, range: wire.offset..<end)
  }
}

extension FileKey {
  var wire: Floe_V1_FileKey {
    var wire = Floe_V1_FileKey()
    wire.inode = inode
    wire.offset = offset
    return wire
  }

  init(wire: Floe_V1_FileKey) {
    self.init(inode: wire.inode, offset: wire.offset)
  }
}

extension Range<FileKey> {
  var wire: Floe_V1_KeyRange {
    var wire = Floe_V1_KeyRange()
    wire.lower = lowerBound.wire
    wire.upper = upperBound.wire
    return wire
  }

  init(wire: Floe_V1_KeyRange) throws(WireError) {
    let lower = FileKey(wire: wire.lower)
    let upper = FileKey(wire: wire.upper)
    guard lower < upper else {
      throw WireError("a range of keys is empty at inode \(lower.inode), offset \(lower.offset)")
    }
    self = lower..<upper
  }
}

extension MappingAnswer.Extent {
  var wire: Floe_V1_FileExtent {
    var wire = Floe_V1_FileExtent()
    wire.inode = inode
    wire.offset = extent.offset
    wire.length = extent.length
    switch extent.source {
    case .stored(let address):
      wire.kind = .stored
      wire.store = address.store.rawValue
      wire.sourceOffset = address.offset
    case .unwritten: wire.kind = .unwritten
    case .inline(let heapOffset):
      wire.kind = .inline
      wire.sourceOffset = heapOffset
    case .compressed(let run):
      wire.kind = .compressed
      wire.store = run.address.store.rawValue
      wire.sourceOffset = run.address.offset
      wire.run = run.wire
    // The production host, which is asked then, cannot read these bytes either.
    case .encoded, .unreadable: wire.kind = .encoded
    }
    return wire
  }

  init(wire: Floe_V1_FileExtent) throws(WireError) {
    guard wire.length > 0, !wire.offset.addingReportingOverflow(wire.length).overflow,
      !wire.sourceOffset.addingReportingOverflow(wire.length).overflow
    else {
      throw WireError(
        "the extent of inode \(wire.inode) at \(wire.offset) has the length \(wire.length)")
    }
    let source: FileExtent.Source
    switch wire.kind {
    case .stored:
      source = .stored(
        StoreAddress(store: StoreID(rawValue: wire.store), offset: wire.sourceOffset))
    case .unwritten: source = .unwritten
    case .inline: source = .inline(heapOffset: wire.sourceOffset)
    case .compressed: source = .compressed(try CompressedRun(wire: wire))
    case .encoded: source = .encoded
    case .unspecified, .UNRECOGNIZED:
      throw WireError(
        "the extent of inode \(wire.inode) at \(wire.offset) is of kind \(wire.kind.rawValue), "
          + "which this floe does not know")
    }
    self.init(
      inode: wire.inode,
      extent: FileExtent(offset: wire.offset, length: wire.length, source: source))
  }
}

extension CompressedRun {
  /// All but its place.
  fileprivate var wire: Floe_V1_CompressedRun {
    var wire = Floe_V1_CompressedRun()
    wire.algorithm = UInt32(algorithm.rawValue)
    wire.storedLength = storedLength
    wire.decodedLength = decodedLength
    wire.offset = offset
    return wire
  }

  fileprivate init(wire: Floe_V1_FileExtent) throws(WireError) {
    guard
      let algorithm = UInt8(exactly: wire.run.algorithm)
        .flatMap(CompressionAlgorithm.init(rawValue:)),
      let run = CompressedRun(
        algorithm: algorithm,
        address: StoreAddress(store: StoreID(rawValue: wire.store), offset: wire.sourceOffset),
        storedLength: UInt64(wire.run.storedLength),
        decodedLength: UInt64(wire.run.decodedLength), offset: UInt64(wire.run.offset)),
      run.holds(wire.length)
    else {
      throw WireError(
        "the compressed run of the extent of inode \(wire.inode) at \(wire.offset) is malformed")
    }
    self = run
  }
}
