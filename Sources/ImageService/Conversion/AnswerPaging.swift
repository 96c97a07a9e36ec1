import FloeWire
import FoundationEssentials
import FrozenImage
import SwiftProtobuf

/// Cuts an answer into the pages of `Answer`, each small enough for a message, one at a
/// time, so that the receiver's pace decides how many exist.
struct AnswerPaging {
  private let answer: MappingAnswer
  private let ranges: [Range<FileKey>]
  private let located: ArraySlice<MappingAnswer.Located>
  private let storeExtents: [(StoreID, StoreExtent)]
  /// What is told in place of the whole map; `nil` where that is told.
  private let change: StoreMapChange?
  /// The map that the answer tells, for whoever is asked about it next.
  let told: KnownMap?

  /// Brings an answer under the limits where the contract allows it: too many changed
  /// ranges become "everything", and portions that do not fit any more are left out.
  ///
  /// - Parameter known: the map that the receiver has; `nil` when it has none.
  /// - Throws: `WireError` when the volume itself is over the limits.
  init(_ answer: MappingAnswer, since known: StoreMap? = nil) throws(WireError) {
    var isEverything = true
    var ranges: [Range<FileKey>] = []
    if case .ranges(let told) = answer.changes, told.count <= WireLimit.changedRanges {
      ranges = told
      isEverything = false
    }
    var extents = 0
    let fitting = answer.located.prefix {
      extents += $0.extents.count
      return extents <= WireLimit.locatedExtents
    }
    var storeExtents: [(StoreID, StoreExtent)] = []
    if let volume = answer.volume {
      for (store, run) in volume.map.extents.sorted(by: { $0.key < $1.key }) {
        storeExtents += run.map { (store, $0) }
      }
      guard volume.map.stores.count <= WireLimit.stores, volume.media.count <= WireLimit.media,
        storeExtents.count <= WireLimit.storeExtents,
        storeExtents.reduce(0, { $0 + $1.1.placement.targets.count }) <= WireLimit.targets
      else {
        throw WireError(
          "the volume has \(volume.map.stores.count) stores, \(storeExtents.count) store extents "
            + "and \(volume.media.count) media, more than an answer can hold")
      }
    }
    self.answer = MappingAnswer(
      state: answer.state, changes: isEverything ? .everything : answer.changes,
      volume: answer.volume, behind: answer.behind, located: Array(fitting))
    change = Self.change(from: known, to: answer.volume?.map, of: storeExtents.count)
    told = answer.volume.map { KnownMap(answer.state.configurationID, $0.map) }
    self.ranges = ranges
    located = fitting
    self.storeExtents = change?.extents.map { ($0.store, $0.extent) } ?? storeExtents
  }

  /// What differs from a map that the receiver has; `nil` when the whole is told as well.
  private static func change(
    from known: StoreMap?, to map: StoreMap?, of count: Int
  ) -> StoreMapChange? {
    guard let known, let map, let change = StoreMapChange(from: known, to: map),
      change.parts.count + change.extents.count < count
    else { return nil }
    return change
  }

  /// Hands out the pages in order.
  func forEach(_ write: (Floe_V1_AnswerPage) async throws -> Void) async throws {
    try await write(.with { $0.head = head })
    try await forEachRun(of: ranges, cost: { _ in 50 }) { run in
      try await write(.with { $0.changed.ranges = run.map(\.wire) })
    }
    if let volume = answer.volume {
      let stores = volume.map.stores.sorted { $0.key < $1.key }
      try await forEachRun(of: stores, cost: { $0.value.cost }) { run in
        try await write(.with { $0.stores.stores = run.map { Floe_V1_Store($0.key, $0.value) } })
      }
      try await forEachRun(of: change?.parts ?? [], cost: { _ in 30 }) { run in
        try await write(.with { $0.replaced.ranges = run.map(\.wire) })
      }
      try await forEachRun(of: storeExtents, cost: { 60 + 20 * $0.1.placement.targets.count }) {
        run in
        try await write(
          .with { $0.storeExtents.extents = run.map { Floe_V1_StoreExtent($0.0, $0.1) } })
      }
      try await forEachRun(of: volume.media, cost: { $0.cost }) { run in
        try await write(.with { $0.media.media = run.map(\.wire) })
      }
    }
    for (index, portion) in located.enumerated() {
      var piece = Floe_V1_Located()
      piece.index = UInt32(clamping: index)
      piece.keys = portion.keys.wire
      if portion.extents.isEmpty { try await write(.with { $0.located = piece }) }
      try await forEachRun(of: portion.extents, cost: { _ in 90 }) { run in
        piece.extents = run.map(\.wire)
        try await write(.with { $0.located = piece })
      }
    }
  }

  private var head: Floe_V1_AnswerHead {
    var head = Floe_V1_AnswerHead()
    head.state = answer.state.wire
    head.everythingChanged = answer.changes == .everything
    head.hasVolume_p = answer.volume != nil
    head.skipsStates = answer.volume?.skipsStates ?? false
    head.tellsChanges = change != nil
    head.replacedCount = UInt32(clamping: change?.parts.count ?? 0)
    if let told { head.mapFingerprint = told.fingerprint }
    head.behind = answer.behind.sorted().map(\.rawValue.wire)
    head.changedCount = UInt32(clamping: ranges.count)
    head.storeCount = UInt32(clamping: answer.volume?.map.stores.count ?? 0)
    head.storeExtentCount = UInt32(clamping: storeExtents.count)
    head.mediumCount = UInt32(clamping: answer.volume?.media.count ?? 0)
    head.locatedCount = UInt32(clamping: located.count)
    return head
  }

  /// Cuts elements into runs that cost at most a page, or are one element.
  private func forEachRun<Elements: RandomAccessCollection>(
    of elements: Elements, cost: (Elements.Element) -> Int,
    _ body: (Elements.SubSequence) async throws -> Void
  ) async throws {
    var rest = elements[...]
    while !rest.isEmpty {
      var sum = 0
      var end = rest.startIndex
      while end < rest.endIndex {
        sum += cost(rest[end])
        if sum > WireLimit.pageLength, end > rest.startIndex { break }
        rest.formIndex(after: &end)
      }
      try await body(rest[..<end])
      rest = rest[end...]
    }
  }
}

extension Store {
  /// An upper estimate of the bytes of its message.
  fileprivate var cost: Int {
    switch self {
    case .physical: 40
    case .logical(let label): 20 + label.utf8.count
    }
  }
}

extension MediumDescription {
  /// An upper estimate of the bytes of its message.
  fileprivate var cost: Int {
    100 + label.utf8.count + path.utf8.count + hardwareID.utf8.count + identityBytes.count
      + identity.cost + (witness?.cost ?? 0)
  }
}

extension Probe {
  /// An upper estimate of the bytes of its message.
  fileprivate var cost: Int {
    windows.reduce(0) { $0 + 24 + 16 * $1.fragments.count }
  }
}
