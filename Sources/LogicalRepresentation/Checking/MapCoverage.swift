import FrozenImage

/// Which bytes of each store of a volume are mapped, neighbours joined, so that
/// whether a run lies inside takes one binary search however finely the map is cut.
struct MapCoverage: Sendable {
  /// Disjoint, ascending, not touching each other.
  private var runs: [StoreID: [Range<UInt64>]] = [:]

  init(_ map: StoreMap, media: [MediumDescription]) {
    let sizes = Dictionary(media.map { ($0.id, $0.size) }, uniquingKeysWith: min)
    for (id, store) in map.stores {
      switch store {
      case .physical(let medium):
        runs[id] = [0..<(sizes[medium] ?? 0)]
      case .logical:
        runs[id] = Self.joined(map.extents[id] ?? [])
      }
    }
  }

  private static func joined(_ extents: [StoreExtent]) -> [Range<UInt64>] {
    var runs: [Range<UInt64>] = []
    for extent in extents {
      if let last = runs.last, last.upperBound == extent.offset {
        runs[runs.count - 1] = last.lowerBound..<extent.end
      } else {
        runs.append(extent.offset..<extent.end)
      }
    }
    return runs
  }

  /// Whether every byte of a run is mapped.
  func covers(_ address: StoreAddress, length: UInt64) -> Bool {
    guard length > 0, let runs = runs[address.store] else { return length == 0 }
    let (end, overflow) = address.offset.addingReportingOverflow(length)
    guard !overflow else { return false }
    let found = runs.partitioningIndex { $0.upperBound > address.offset }
    return found < runs.count && runs[found].lowerBound <= address.offset
      && end <= runs[found].upperBound
  }

  /// Whether everything that another map maps is mapped.
  func covers(_ other: MapCoverage) -> Bool {
    other.runs.allSatisfy { store, runs in
      runs.allSatisfy { run in
        covers(StoreAddress(store: store, offset: run.lowerBound), length: run.count64)
      }
    }
  }

}

extension VolumeDescription {
  /// What is wrong with the volume: media that are described twice or not at all, a
  /// store extent that points outside what the store below has, checksums without a
  /// block size; `nil` when nothing is.
  func problem(_ coverage: MapCoverage) -> String? {
    let known = Set(media.map(\.id))
    if known.count < media.count { return "two media have the same identifier" }
    for case (let id, .physical(let medium)) in map.stores where !known.contains(medium) {
      return "store \(id.rawValue) lies on medium \(medium), which is not described"
    }
    for medium in media where medium.identity.byteCount != medium.identityBytes.count {
      return "the identity of medium \(medium.id) does not have the bytes of its probe"
    }
    // A block is read and checked as a whole, so a read is widened to it.
    let isBlock =
      (512...65536).contains(checksumBlockSize) && checksumBlockSize.nonzeroBitCount == 1
    if !isBlock, checksum != nil || checksumBlockSize != 0 {
      return "its checksums cover blocks of \(checksumBlockSize) bytes"
    }
    for (id, extents) in map.extents {
      for extent in extents {
        let placement = extent.placement
        for (index, target) in placement.targets.enumerated()
        where !coverage.covers(
          target, length: placement.length(ofColumn: index / placement.copies, of: extent.length))
        {
          return "the extent of store \(id.rawValue) at \(extent.offset) points outside store "
            + "\(target.store.rawValue), at \(target.offset)"
        }
      }
    }
    return nil
  }
}
