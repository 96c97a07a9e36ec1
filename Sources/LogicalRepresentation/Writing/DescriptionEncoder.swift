import FrozenImage

/// Makes the records that describe the image, its volumes and its root, and collects
/// their texts for the end of the heap.
struct DescriptionEncoder {
  /// The records of each section, encoded.
  private(set) var sections: [Section: [UInt8]] = [:]
  /// What is to follow the heap as it is.
  private(set) var texts: [UInt8] = []
  private let heapLength: UInt64
  private var volumeCount: UInt64 = 0
  private var storeExtentCount: UInt64 = 0
  /// Incompatible features that the records use.
  private(set) var incompatible: UInt64 = 0

  /// - Parameter heapLength: bytes that the heap has already.
  init(heapLength: UInt64) {
    self.heapLength = heapLength
  }

  mutating func add(_ image: ImageDescription) {
    add(
      ImageRecord(
        image, name: text(image.name), provider: text(image.provider), host: text(image.host),
        source: text(image.source), service: text(image.service)),
      to: .image)
  }

  mutating func add(_ volume: VolumeDescription) {
    add(
      VolumeRecord(
        volume, label: text(volume.label),
        configurationID: reference(volume.state.configurationID.bytes),
        cursor: reference(volume.state.cursor)),
      to: .volumes)
    for (id, store) in volume.map.stores.sorted(by: { $0.key < $1.key }) {
      add(id, store, extents: volume.map.extents[id] ?? [])
    }
    for medium in volume.media { add(medium) }
    for mark in volume.state.marks {
      add(
        MarkRecord(
          medium: mark.medium.rawValue, offset: mark.offset, bytes: reference(mark.bytes),
          volume: volumeCount), to: .marks)
    }
    if let trail = volume.trail {
      add(
        TrailRecord(
          volume: volumeCount, provider: text(trail.provider), bytes: reference(trail.bytes)),
        to: .trails)
    }
    volumeCount += 1
  }

  /// - Parameter node: the top directory's record.
  mutating func addRoot(
    name: String, view: Root.View, node: UInt64, nodes: UInt64, placeholders: UInt64
  ) {
    add(
      RootRecord(
        name: text(name), volume: 0, view: view.rawValue, node: node, nodeCount: nodes,
        placeholderCount: placeholders),
      to: .roots)
  }

  private mutating func add(_ id: StoreID, _ store: Store, extents: [StoreExtent]) {
    let none = UniqueIdentifier(high: 0, low: 0)
    switch store {
    case .physical(let medium):
      add(
        StoreRecord(
          id: id.rawValue, kind: StoreRecord.physical, medium: medium.rawValue,
          label: HeapReference(offset: 0, length: 0), extentCount: 0),
        to: .stores)
    case .logical(let label):
      add(
        StoreRecord(
          id: id.rawValue, kind: StoreRecord.logical, medium: none, label: text(label),
          extentCount: UInt64(extents.count)),
        to: .stores)
    }
    for extent in extents {
      add(StoreExtentRecord(extent), to: .storeExtents)
      if let record = PlacementRecord(extent.placement, extent: storeExtentCount) {
        add(record, to: .placements)
      }
      if extent.placement.isSpaced { incompatible |= Format.spacedColumns }
      storeExtentCount += 1
      for target in extent.placement.targets { add(StripeTargetRecord(target), to: .stripeTargets) }
    }
  }

  private mutating func add(_ medium: MediumDescription) {
    add(
      MediumRecord(
        medium, label: text(medium.label), path: text(medium.path),
        hardwareID: text(medium.hardwareID), identityBytes: reference(medium.identityBytes)),
      to: .media)
    for window in medium.identity.windows + (medium.witness?.windows ?? []) {
      add(WindowRecord(window), to: .windows)
      for fragment in window.fragments { add(FragmentRecord(fragment), to: .fragments) }
    }
  }

  private mutating func add(_ record: some Record, to section: Section) {
    sections[section, default: []] += record.encoded
  }

  private mutating func text(_ text: String) -> HeapReference { reference(Array(text.utf8)) }

  private mutating func reference(_ bytes: [UInt8]) -> HeapReference {
    defer { texts += bytes }
    return HeapReference(
      offset: heapLength + UInt64(texts.count), length: UInt64(bytes.count))
  }
}
