import FloeWire
import FoundationEssentials
import FrozenImage

/// Puts the pages of an answer together again, and believes none of them: every order,
/// count and bound that the core relies on is checked here.
struct AnswerAssembly {
  private var head: Floe_V1_AnswerHead?
  private var state: MappingState?
  private var behind: Set<MediumID> = []
  private var changed: [Range<FileKey>] = []
  private var stores: [StoreID: Store] = [:]
  private var storeExtents: [StoreID: [StoreExtent]] = [:]
  private var storeExtentCount = 0
  private var targetCount = 0
  private var fragmentCount = 0
  private var media: [MediumDescription] = []
  private var located: [MappingAnswer.Located] = []
  private var locatedExtentCount = 0
  private var replaced: [StoreMapChange.Part] = []
  private let known: KnownMap?

  /// - Parameter known: the map that the question says it has.
  init(since known: KnownMap? = nil) {
    self.known = known
  }

  /// Takes the next page.
  mutating func add(_ page: Floe_V1_AnswerPage) throws(WireError) {
    if case .head(let head)? = page.part { return try begin(head) }
    guard let head else { throw WireError("the answer does not begin with its head") }
    switch page.part {
    case .changed(let part)?:
      for range in part.ranges { try add(Range<FileKey>(wire: range)) }
      try check(changed.count, head.changedCount, WireLimit.changedRanges, "changed ranges")
    case .stores(let part)?:
      for store in part.stores {
        let (id, store) = try store.decoded()
        guard stores.updateValue(store, forKey: id) == nil else {
          throw WireError("store \(id.rawValue) comes twice in the answer")
        }
      }
      try check(stores.count, head.storeCount, WireLimit.stores, "stores")
    case .storeExtents(let part)?:
      for extent in part.extents {
        targetCount += extent.targets.count
        try check(targetCount, WireLimit.targets, "targets of store extents")
        let (store, extent) = try extent.decoded()
        storeExtents[store, default: []].append(extent)
      }
      storeExtentCount += part.extents.count
      try check(
        storeExtentCount, head.storeExtentCount, WireLimit.storeExtents, "store extents")
    case .replaced(let part)?:
      for range in part.ranges { try add(StoreMapChange.Part(wire: range)) }
      try check(replaced.count, head.replacedCount, WireLimit.storeExtents, "replaced ranges")
    case .media(let part)?:
      for medium in part.media {
        let windows = medium.identity.windows + medium.witness.windows
        fragmentCount += windows.reduce(0) { $0 + $1.fragments.count }
        try check(fragmentCount, WireLimit.fragments, "fragments of media")
        media.append(try MediumDescription(wire: medium))
      }
      try check(media.count, head.mediumCount, WireLimit.media, "media")
    case .located(let part)?:
      try add(part)
      try check(located.count, head.locatedCount, WireLimit.portions, "located portions")
    case .head?, nil:
      throw WireError("the answer has a page of a kind that this floe does not know")
    }
  }

  /// The whole answer, once every page came.
  func finish() throws(WireError) -> MappingAnswer {
    guard let head, let state else { throw WireError("the answer has no head") }
    guard changed.count == Int(head.changedCount), stores.count == Int(head.storeCount),
      storeExtentCount == Int(head.storeExtentCount), media.count == Int(head.mediumCount),
      located.count == Int(head.locatedCount), replaced.count == Int(head.replacedCount)
    else { throw WireError("the answer ends before all that its head announced") }
    var volume: MappingAnswer.Volume?
    if head.hasVolume_p {
      let known = Set(media.map(\.id))
      guard known.count == media.count else { throw WireError("the answer names a medium twice") }
      for case .physical(let medium) in stores.values where !known.contains(medium) {
        throw WireError("the answer has a store on medium \(medium), which it does not describe")
      }
      volume = MappingAnswer.Volume(map: try map(head), media: media, skipsStates: head.skipsStates)
    }
    return MappingAnswer(
      state: state, changes: head.everythingChanged ? .everything : .ranges(changed),
      volume: volume, behind: behind, located: located)
  }

  private func map(_ head: Floe_V1_AnswerHead) throws(WireError) -> StoreMap {
    guard head.tellsChanges else {
      do throws(ChainError) {
        return try StoreMap(stores: stores, extents: storeExtents)
      } catch {
        throw WireError("the stores of the answer make no sense: \(error)")
      }
    }
    guard let known else { throw WireError("the answer tells changes of stores that nobody has") }
    let map = try known.map.replacing(replaced, stores: stores, with: storeExtents)
    guard head.hasMapFingerprint, map.fingerprint == head.mapFingerprint else {
      throw WireError("the changes that the answer tells do not make the stores that it means")
    }
    return map
  }

  private mutating func begin(_ head: Floe_V1_AnswerHead) throws(WireError) {
    guard self.head == nil else { throw WireError("the answer has two heads") }
    guard head.behind.count <= WireLimit.media else {
      throw WireError("the answer names \(head.behind.count) media that are behind")
    }
    guard !head.everythingChanged || head.changedCount == 0 else {
      throw WireError("the answer says that everything changed, and lists what did")
    }
    guard
      head.hasVolume_p || (head.storeCount, head.storeExtentCount, head.mediumCount) == (0, 0, 0)
    else { throw WireError("the answer has parts of a volume without a volume") }
    guard head.tellsChanges && head.hasVolume_p || head.replacedCount == 0 else {
      throw WireError("the answer replaces ranges, and tells no changes")
    }
    state = try MappingState(wire: head.state)
    for medium in head.behind {
      behind.insert(MediumID(rawValue: try UniqueIdentifier(wire: medium, "a medium behind")))
    }
    self.head = head
  }

  private func check(
    _ count: Int, _ announced: UInt32, _ limit: Int, _ what: String
  ) throws(WireError) {
    try check(count, limit, what)
    guard count <= Int(announced) else {
      throw WireError("the answer has more \(what) than its head announced")
    }
  }

  private func check(_ count: Int, _ limit: Int, _ what: String) throws(WireError) {
    guard count <= limit else { throw WireError("the answer has more than \(limit) \(what)") }
  }

  private mutating func add(_ range: Range<FileKey>) throws(WireError) {
    if let last = changed.last, last.upperBound > range.lowerBound {
      throw WireError(
        "the changed ranges are out of order at inode \(range.lowerBound.inode), "
          + "offset \(range.lowerBound.offset)")
    }
    changed.append(range)
  }

  private mutating func add(_ part: StoreMapChange.Part) throws(WireError) {
    if let last = replaced.last {
      let isBehind =
        last.store < part.store
        || last.store == part.store && last.range.upperBound <= part.range.lowerBound
      guard isBehind else {
        throw WireError("the replaced ranges are out of order at store \(part.store.rawValue)")
      }
    }
    replaced.append(part)
  }

  private mutating func add(_ part: Floe_V1_Located) throws(WireError) {
    let keys = try Range<FileKey>(wire: part.keys)
    var extents: [MappingAnswer.Extent] = []
    if Int(part.index) == located.count - 1, let last = located.popLast() {
      guard last.keys == keys, !part.extents.isEmpty else {
        throw WireError("the located portion \(part.index) goes on with another range or nothing")
      }
      extents = last.extents
    } else if Int(part.index) != located.count {
      throw WireError("the located portion \(part.index) is out of order")
    }
    for wire in part.extents {
      let extent = try MappingAnswer.Extent(wire: wire)
      let start = FileKey(inode: extent.inode, offset: extent.extent.offset)
      let end = FileKey(inode: extent.inode, offset: extent.extent.end)
      let free = extents.last.map { FileKey(inode: $0.inode, offset: $0.extent.end) }
      guard start >= free ?? keys.lowerBound, end <= keys.upperBound else {
        throw WireError(
          "the extent of inode \(extent.inode) at \(extent.extent.offset) is out of order or "
            + "outside of the range that it was told for")
      }
      extents.append(extent)
    }
    locatedExtentCount += part.extents.count
    guard locatedExtentCount <= WireLimit.locatedExtents else {
      throw WireError("the answer has more than \(WireLimit.locatedExtents) located extents")
    }
    located.append(MappingAnswer.Located(keys: keys, extents: extents))
  }
}
