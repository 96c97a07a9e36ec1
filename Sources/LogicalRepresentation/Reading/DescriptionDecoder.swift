import FrozenImage

/// Reads the few records that describe the image, its volumes and its roots.
///
/// What belongs to a record follows what belongs to the record before it, so each
/// record is read once and nothing can be shared into something large; text may be
/// shared, so the bytes of it are counted against the heap's size.
struct DescriptionDecoder {
  private let images: RecordTable<ImageRecord>
  private let volumeTable: RecordTable<VolumeRecord>
  private let rootTable: RecordTable<RootRecord>
  private let storeTable: RecordTable<StoreRecord>
  private let storeExtents: RecordTable<StoreExtentRecord>
  private let targets: RecordTable<StripeTargetRecord>
  private let mediumTable: RecordTable<MediumRecord>
  private let windows: RecordTable<WindowRecord>
  private let fragments: RecordTable<FragmentRecord>
  private let markTable: RecordTable<MarkRecord>
  private let trailTable: RecordTable<TrailRecord>
  private let placements: RecordTable<PlacementRecord>
  private let incompatible: UInt64
  private let heap: UnsafeRawBufferPointer

  private var nextStore: UInt64 = 0
  private var nextStoreExtent: UInt64 = 0
  private var nextTarget: UInt64 = 0
  private var nextMedium: UInt64 = 0
  private var nextWindow: UInt64 = 0
  private var nextFragment: UInt64 = 0
  private var nextMark: UInt64 = 0
  private var nextTrail: UInt64 = 0
  private var nextPlacement: UInt64 = 0
  private var textBudget: Int

  init(sections: SectionTable, bytes: UnsafeRawBufferPointer) throws(RepresentationError) {
    images = try Representation.table(.image, sections, bytes)
    volumeTable = try Representation.table(.volumes, sections, bytes)
    rootTable = try Representation.table(.roots, sections, bytes)
    storeTable = try Representation.table(.stores, sections, bytes)
    storeExtents = try Representation.table(.storeExtents, sections, bytes)
    targets = try Representation.table(.stripeTargets, sections, bytes)
    mediumTable = try Representation.table(.media, sections, bytes)
    windows = try Representation.table(.windows, sections, bytes)
    fragments = try Representation.table(.fragments, sections, bytes)
    markTable = try Representation.table(.marks, sections, bytes)
    trailTable = try Representation.table(.trails, sections, bytes)
    placements = try Representation.table(.placements, sections, bytes)
    incompatible = sections.incompatible
    heap = sections.bytes(of: .heap, in: bytes)
    textBudget = heap.count
  }

  mutating func image() throws(RepresentationError) -> ImageDescription {
    guard images.count == 1 else {
      throw .damaged(place: "section image", problem: "it has \(images.count) records, not one")
    }
    let record = try images.record(at: 0)
    let place = "image"
    guard record.created.nanoseconds < 1_000_000_000 else {
      throw .damaged(
        place: place, problem: "its time has \(record.created.nanoseconds) nanoseconds")
    }
    return ImageDescription(
      id: record.id, name: try text(record.name, of: place), created: record.created,
      provider: try text(record.provider, of: place), host: try text(record.host, of: place),
      source: try text(record.source, of: place),
      service: try text(record.service, of: place), statistics: record.statistics,
      freezeLead: record.freezeLead)
  }

  mutating func volumes() throws(RepresentationError) -> [VolumeDescription] {
    var volumes: [VolumeDescription] = []
    for index in 0..<volumeTable.count {
      volumes.append(try volume(at: index))
    }
    guard nextStore == storeTable.count, nextStoreExtent == storeExtents.count,
      nextTarget == targets.count, nextMedium == mediumTable.count,
      nextWindow == windows.count, nextFragment == fragments.count
    else {
      throw .damaged(
        place: "section volumes", problem: "there are stores or media that no volume has")
    }
    guard nextMark == markTable.count else {
      throw .damaged(place: "section marks", problem: "there are marks that no volume has")
    }
    guard nextTrail == trailTable.count else {
      throw .damaged(place: "section trails", problem: "there are trails that no volume has")
    }
    guard nextPlacement == placements.count else {
      throw .damaged(
        place: "section placements", problem: "there are placements that no store extent has")
    }
    return volumes
  }

  private mutating func volume(at index: UInt64) throws(RepresentationError) -> VolumeDescription {
    let record = try volumeTable.record(at: index)
    let place = "volume \(index)"
    let algorithm = ChecksumAlgorithm(rawValue: record.checksum)
    guard record.checksum == 0 || algorithm != nil else {
      throw .damaged(place: place, problem: "its checksum algorithm is not known")
    }
    guard let id = ConfigurationID(bytes: try bytes(record.configurationID, of: place)) else {
      throw .damaged(place: place, problem: "its configuration ID is malformed")
    }
    guard let validation = Validation(rawValue: record.validation) else {
      throw .damaged(place: place, problem: "what validates its reads is not known")
    }
    let map = try storeMap(count: record.storeCount, of: place)
    var media: [MediumDescription] = []
    for _ in 0..<record.mediumCount {
      media.append(try medium())
    }
    return VolumeDescription(
      id: record.id, label: try text(record.label, of: place),
      state: MappingState(
        configurationID: id, cursor: try bytes(record.cursor, of: place),
        marks: try marks(ofVolume: index)), map: map, media: media, validation: validation,
      checksum: algorithm,
      checksumBlockSize: record.checksumBlockSize, trail: try trail(ofVolume: index))
  }

  private mutating func storeMap(
    count: UInt64, of place: String
  ) throws(RepresentationError) -> StoreMap {
    var stores: [StoreID: Store] = [:]
    var extents: [StoreID: [StoreExtent]] = [:]
    for _ in 0..<count {
      let index = nextStore
      let record = try storeTable.record(at: index)
      nextStore += 1
      let id = StoreID(rawValue: record.id)
      let store: Store
      switch record.kind {
      case StoreRecord.physical where record.extentCount == 0:
        store = .physical(MediumID(rawValue: record.medium))
      case StoreRecord.logical:
        store = .logical(label: try text(record.label, of: "store \(index)"))
        extents[id] = try storeExtents(count: record.extentCount)
      default:
        throw .damaged(place: "store \(index)", problem: "its kind is not known")
      }
      guard stores.updateValue(store, forKey: id) == nil else {
        throw .damaged(place: place, problem: "it has two stores \(record.id)")
      }
    }
    do {
      return try StoreMap(stores: stores, extents: extents)
    } catch {
      throw .damaged(place: place, problem: error.description)
    }
  }

  private mutating func storeExtents(
    count: UInt64
  ) throws(RepresentationError) -> [StoreExtent] {
    var result: [StoreExtent] = []
    for _ in 0..<count {
      let index = nextStoreExtent
      let record = try storeExtents.record(at: index)
      nextStoreExtent += 1
      let (targetCount, overflow) = record.columns.multipliedReportingOverflow(by: record.copies)
      guard !overflow, Int(targetCount) <= Placement<StoreAddress>.maximumTargets else {
        throw .damaged(place: "store extent \(index)", problem: "it has too many targets")
      }
      var addresses: [StoreAddress] = []
      for _ in 0..<targetCount {
        let target = try targets.record(at: nextTarget)
        nextTarget += 1
        addresses.append(
          StoreAddress(store: StoreID(rawValue: target.store), offset: target.offset))
      }
      let placement = try placement(of: index)
      do {
        result.append(
          try StoreExtent(
            offset: record.offset, length: record.length, columns: Int(record.columns),
            copies: Int(record.copies), stripeLength: record.stripeLength,
            columnStep: placement.map(\.columnStep), targets: addresses,
            copyState: placement?.flags == PlacementRecord.inSync ? .inSync : .unknown))
      } catch {
        throw .damaged(place: "store extent \(index)", problem: error.description)
      }
    }
    return result
  }

  /// What a store extent has beyond its record; `nil` when nothing.
  private mutating func placement(
    of extent: UInt64
  ) throws(RepresentationError) -> PlacementRecord? {
    guard nextPlacement < placements.count else { return nil }
    let record = try placements.record(at: nextPlacement)
    guard record.extent == extent else { return nil }
    let place = "placement \(nextPlacement)"
    nextPlacement += 1
    guard record.flags & ~PlacementRecord.inSync == 0 else {
      throw .damaged(place: place, problem: "its flags \(record.flags) are not known")
    }
    let columns = try storeExtents.record(at: extent)
    // Whoever does not know of it must not have opened the rest.
    guard
      columns.columns <= 1 || record.columnStep == columns.stripeLength
        || incompatible & Format.spacedColumns != 0
    else { throw .damaged(place: place, problem: "the header does not tell of its columns") }
    return record
  }

  private mutating func marks(ofVolume volume: UInt64) throws(RepresentationError) -> [StateMark] {
    var marks: [StateMark] = []
    while nextMark < markTable.count {
      let record = try markTable.record(at: nextMark)
      guard record.volume == volume else { break }
      let place = "mark \(nextMark)"
      nextMark += 1
      guard record.bytes.length <= StateMark.maximumLength,
        let mark = StateMark(
          medium: MediumID(rawValue: record.medium), offset: record.offset,
          bytes: try bytes(record.bytes, of: place)), marks.count < StateMark.maximumCount
      else { throw .damaged(place: place, problem: "it is out of range, or one too many") }
      marks.append(mark)
    }
    return marks
  }

  private mutating func trail(
    ofVolume volume: UInt64
  ) throws(RepresentationError) -> StorageTrail? {
    guard nextTrail < trailTable.count else { return nil }
    let record = try trailTable.record(at: nextTrail)
    guard record.volume == volume else { return nil }
    let place = "trail \(nextTrail)"
    nextTrail += 1
    guard record.bytes.length <= StorageTrail.maximumLength,
      let trail = StorageTrail(
        provider: try text(record.provider, of: place), bytes: try bytes(record.bytes, of: place))
    else { throw .damaged(place: place, problem: "it is empty or too long") }
    return trail
  }

  private mutating func medium() throws(RepresentationError) -> MediumDescription {
    let record = try mediumTable.record(at: nextMedium)
    let place = "medium \(nextMedium)"
    nextMedium += 1
    guard let identity = try probe(windows: record.identityCount, of: place) else {
      throw .damaged(place: place, problem: "it has no identity")
    }
    let identityBytes = try bytes(record.identityBytes, of: place)
    return MediumDescription(
      id: MediumID(rawValue: record.id), label: try text(record.label, of: place),
      size: record.size, path: try text(record.path, of: place),
      hardwareID: try text(record.hardwareID, of: place), identity: identity,
      identityBytes: identityBytes, witness: try probe(windows: record.witnessCount, of: place))
  }

  /// `nil` for a probe without windows, which stands for none.
  private mutating func probe(
    windows count: UInt32, of place: String
  ) throws(RepresentationError) -> Probe? {
    guard count > 0 else { return nil }
    var list: [Probe.Window] = []
    for _ in 0..<count { list.append(try window(of: place)) }
    guard let probe = Probe(windows: list) else {
      throw .damaged(place: place, problem: "a probe of it is too large")
    }
    return probe
  }

  private mutating func window(of place: String) throws(RepresentationError) -> Probe.Window {
    let record = try windows.record(at: nextWindow)
    nextWindow += 1
    var list: [Probe.Fragment] = []
    for _ in 0..<record.fragmentCount {
      let fragment = try fragments.record(at: nextFragment)
      nextFragment += 1
      list.append(Probe.Fragment(offset: Int(fragment.offset), length: Int(fragment.length)))
    }
    guard
      let window = Probe.Window(
        offset: record.offset, length: Int(record.length), fragments: list)
    else { throw .damaged(place: place, problem: "a probe of it is out of range") }
    return window
  }

  mutating func roots(volumes: Int, nodes: UInt64) throws(RepresentationError) -> [Root] {
    guard rootTable.count > 0 else {
      throw .damaged(place: "section roots", problem: "it is empty")
    }
    var roots: [Root] = []
    var nextNode: UInt64 = 0
    for index in 0..<rootTable.count {
      let record = try rootTable.record(at: index)
      let place = "root \(index)"
      let start = nextNode
      guard record.nodeCount <= nodes - start,
        record.placeholderCount <= nodes - start - record.nodeCount
      else { throw .damaged(place: place, problem: "it has more nodes than there are") }
      let middle = start + record.nodeCount
      nextNode = middle + record.placeholderCount
      guard (start..<middle).contains(record.node) else {
        throw .damaged(place: place, problem: "its top directory is not one of its nodes")
      }
      guard let volume = Int(exactly: record.volume), volume < volumes else {
        throw .damaged(place: place, problem: "there is no volume \(record.volume)")
      }
      guard let view = Root.View(rawValue: record.view) else {
        throw .damaged(place: place, problem: "its view \(record.view) is not known")
      }
      roots.append(
        Root(
          name: try text(record.name, of: place), volume: volume, view: view,
          node: NodeIndex(rawValue: record.node), nodes: start..<middle,
          placeholders: middle..<nextNode))
    }
    guard nextNode == nodes else {
      throw .damaged(place: "section roots", problem: "there are nodes that no root has")
    }
    return roots
  }

  private mutating func bytes(
    _ reference: HeapReference, of place: String
  ) throws(RepresentationError) -> [UInt8] {
    guard let start = Int(exactly: reference.offset), let count = Int(exactly: reference.length),
      start <= heap.count, count <= heap.count - start
    else { throw .damaged(place: place, problem: "a text of it is not inside the heap") }
    guard count <= textBudget else {
      throw .damaged(place: place, problem: "its texts overlap others")
    }
    textBudget -= count
    return Array(heap[start..<start + count])
  }

  private mutating func text(
    _ reference: HeapReference, of place: String
  ) throws(RepresentationError) -> String {
    guard let text = String(validating: try bytes(reference, of: place), as: UTF8.self) else {
      throw .damaged(place: place, problem: "a text of it is not UTF-8")
    }
    return text
  }
}
