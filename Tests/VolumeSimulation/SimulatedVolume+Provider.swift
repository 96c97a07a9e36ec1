package import FrozenImage

// The provider's side: what the production host tells of the volume.

extension SimulatedVolume {
  package static let media = (0..<2).map { index in
    MediumID(rawValue: UniqueIdentifier(high: 1, low: UInt64(index)))
  }

  package static func bytes(of generation: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: generation >> ($0 * 8)) }
  }

  package static func generation(of bytes: [UInt8]) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// What the witness of every medium of the volume shows at a generation.
  package func configurationID(of generation: UInt64) -> ConfigurationID {
    let members = mutation.contains(.hidesWhatIsBehind) ? 0..<2 : members
    return ConfigurationID(
      entries: members.map {
        ConfigurationID.Entry(medium: Self.media[$0], bytes: Self.bytes(of: generation))
      })
  }

  /// The state of the mapping at a generation.
  package func state(of generation: UInt64) -> MappingState {
    MappingState(
      configurationID: configurationID(of: generation), cursor: Self.bytes(of: generation))
  }

  /// Bytes from the start of the store where a place lies, when the store is the media
  /// one after the other.
  private func offset(of place: Place) -> UInt64 {
    UInt64(place.medium * placeCount + place.block) * Self.blockSize
  }

  /// Where the file has a block.
  package func extent(of block: Int) -> FileExtent {
    let start = UInt64(block) * Self.blockSize
    let offset =
      switch layout {
      case .fileExtents: offset(of: places[block])
      case .storeExtents: start
      }
    return FileExtent(
      offset: start, length: Self.blockSize,
      source: .stored(StoreAddress(store: StoreID(rawValue: 0), offset: offset)))
  }

  private var storeExtents: [StoreExtent] {
    get throws {
      switch layout {
      case .fileExtents:
        let length = UInt64(placeCount) * Self.blockSize
        return try (0..<2).map { index in
          try StoreExtent.linear(
            offset: UInt64(index) * length, length: length,
            target: StoreAddress(store: StoreID(rawValue: UInt32(index + 1)), offset: 0))
        }
      case .storeExtents:
        return try places.enumerated().map { block, place in
          try StoreExtent.linear(
            offset: UInt64(block) * Self.blockSize, length: Self.blockSize,
            target: StoreAddress(
              store: StoreID(rawValue: UInt32(place.medium + 1)),
              offset: UInt64(place.block) * Self.blockSize))
        }
      }
    }
  }

  package var map: StoreMap {
    get throws {
      try StoreMap(
        stores: [
          StoreID(rawValue: 0): .logical(label: "volume"),
          StoreID(rawValue: 1): .physical(Self.media[0]),
          StoreID(rawValue: 2): .physical(Self.media[1]),
        ], extents: [StoreID(rawValue: 0): storeExtents])
    }
  }

  private struct BadProbe: Error {}

  package var descriptions: [MediumDescription] {
    get throws {
      guard
        let probe = Probe(offset: 0, length: 8, fragments: [Probe.Fragment(offset: 0, length: 8)])
      else { throw BadProbe() }
      return Self.media.enumerated().map { index, id in
        MediumDescription(
          id: id, label: "medium \(index)", size: UInt64(placeCount) * Self.blockSize, path: "",
          hardwareID: "", identity: probe, identityBytes: [], witness: probe)
      }
    }
  }

  /// The first step of an answer: the generation that all media show. `nil` when they
  /// differ, or when something that moved is not committed: a commit is under way then.
  package mutating func look() -> UInt64? {
    let isAhead = isThawed || movedIn.contains { $0 > witness[0] }
    guard
      isAhead && !mutation.contains(.givesOutUncommitted)
        || members.contains(where: {
          witness[$0] != witness[0]
        })
    else { return witness[0] }
    commitStep()
    return nil
  }

  /// The second step: what changed, and where portions lie, as of the generation that
  /// was looked at. `nil` when something moved meanwhile: to be looked at again.
  package func answer(_ question: MappingQuestion, at seen: UInt64) throws -> MappingAnswer? {
    if !mutation.contains(.givesOutUncommitted), movedIn.contains(where: { $0 > seen }) {
      return nil
    }
    let known = Self.generation(of: question.known.cursor)
    let changed = (0..<blockCount).filter { movedIn[$0] > known }
    let state = state(of: seen)
    let isSameVolume =
      question.known.configurationID.entries.map(\.medium)
      == state.configurationID.entries.map(\.medium)
    var volume: MappingAnswer.Volume?
    if !isSameVolume || layout == .storeExtents && seen != known {
      volume = MappingAnswer.Volume(
        map: try map, media: try descriptions,
        skipsStates: seen > known + 1 && layout == .storeExtents
          && !mutation.contains(.hidesSkippedStates))
    }
    return MappingAnswer(
      state: state, changes: .ranges(layout == .fileExtents ? changed.map(keys(of:)) : []),
      volume: volume, behind: behind(question),
      located: question.portions.map { portion in
        let range = portion.range
        let blocks = Int(range.lowerBound / Self.blockSize)..<Int(range.upperBound / Self.blockSize)
        return MappingAnswer.Located(
          keys: portion.keys,
          extents: blocks.map { MappingAnswer.Extent(inode: 1, extent: extent(of: $0)) })
      })
  }

  private func keys(of block: Int) -> Range<FileKey> {
    let start = UInt64(block) * Self.blockSize
    return FileKey(inode: 1, offset: start)..<FileKey(inode: 1, offset: start + Self.blockSize)
  }

  /// Media whose witness, as the backup host found it, is older than the state that it
  /// knows, or that are not of the volume.
  private func behind(_ question: MappingQuestion) -> Set<MediumID> {
    guard !mutation.contains(.hidesWhatIsBehind) else { return [] }
    let known = Self.generation(of: question.known.cursor)
    let members = members.map { Self.media[$0] }
    return Set(
      question.found.entries.filter {
        !members.contains($0.medium) || Self.generation(of: $0.bytes) < known
      }.map(\.medium))
  }
}
