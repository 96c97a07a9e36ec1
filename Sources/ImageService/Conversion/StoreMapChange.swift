import FrozenImage

/// What makes one map of a volume out of another: the ranges of stores whose extents are
/// others, and those that are there instead.
struct StoreMapChange: Sendable {
  /// A range of a store. No extent of either map crosses its ends.
  struct Part: Hashable, Sendable {
    let store: StoreID
    let range: Range<UInt64>
  }

  /// In ascending order of store, then of range; without overlap.
  private(set) var parts: [Part] = []
  /// What the ranges hold in the new map, in the same order.
  private(set) var extents: [(store: StoreID, extent: StoreExtent)] = []

  /// - Returns: `nil` when the stores themselves differ.
  init?(from old: StoreMap, to new: StoreMap) {
    guard old.stores == new.stores else { return nil }
    for store in new.stores.keys.sorted() {
      compare(store, old.extents[store] ?? [], new.extents[store] ?? [])
    }
  }

  private mutating func compare(_ store: StoreID, _ old: [StoreExtent], _ new: [StoreExtent]) {
    var (left, right) = (0, 0)
    while left < old.count || right < new.count {
      if left < old.count, right < new.count, old[left] == new[right] {
        left += 1
        right += 1
        continue
      }
      let start = min(
        left < old.count ? old[left].offset : .max, right < new.count ? new[right].offset : .max)
      // Up to where both maps have an end.
      var end = start
      while true {
        if left < old.count, old[left].offset == start || old[left].offset < end {
          end = max(end, old[left].end)
          left += 1
        } else if right < new.count, new[right].offset == start || new[right].offset < end {
          extents.append((store, new[right]))
          end = max(end, new[right].end)
          right += 1
        } else {
          break
        }
      }
      parts.append(Part(store: store, range: start..<end))
    }
  }
}

extension StoreMap {
  /// The map with other extents in some ranges of its stores.
  ///
  /// - Parameters:
  ///   - parts: in ascending order of store, then of range, without overlap.
  ///   - stores: the stores of the new map.
  ///   - extents: what the ranges hold now, of each store in ascending order.
  /// - Throws: `WireError` when an extent crosses an end of a range, or they do not make a
  ///   map.
  func replacing(
    _ parts: [StoreMapChange.Part], stores: [StoreID: Store], with extents: [StoreID: [StoreExtent]]
  ) throws(WireError) -> StoreMap {
    guard stores == self.stores else {
      throw WireError(
        "the answer changes the places of stores that are not those of the known state")
    }
    var result = self.extents
    var rest = parts[...]
    while let store = rest.first?.store {
      let own = rest.prefix { $0.store == store }
      rest = rest.dropFirst(own.count)
      result[store] = try Self.replace(
        own.map(\.range), of: self.extents[store] ?? [], with: extents[store] ?? [], store)
    }
    for store in extents.keys where !parts.contains(where: { $0.store == store }) {
      throw WireError("the answer has extents of store \(store.rawValue), where nothing changed")
    }
    do throws(ChainError) {
      return try StoreMap(stores: stores, extents: result)
    } catch {
      throw WireError("the changed stores of the answer make no sense: \(error)")
    }
  }

  private static func replace(
    _ ranges: [Range<UInt64>], of old: [StoreExtent], with new: [StoreExtent], _ store: StoreID
  ) throws(WireError) -> [StoreExtent] {
    var result: [StoreExtent] = []
    result.reserveCapacity(old.count + new.count)
    var (left, right) = (0, 0)
    for range in ranges {
      while left < old.count, old[left].end <= range.lowerBound {
        result.append(old[left])
        left += 1
      }
      while left < old.count, old[left].offset < range.upperBound {
        guard old[left].offset >= range.lowerBound, old[left].end <= range.upperBound else {
          throw WireError("the answer cuts an extent of store \(store.rawValue) in two")
        }
        left += 1
      }
      while right < new.count, new[right].offset < range.upperBound {
        guard new[right].offset >= range.lowerBound, new[right].end <= range.upperBound else {
          break
        }
        result.append(new[right])
        right += 1
      }
    }
    guard right == new.count else {
      throw WireError(
        "the answer has an extent of store \(store.rawValue) outside of the ranges that changed")
    }
    return result + old[left...]
  }

  /// A number that equal maps have in common, and others hardly: the 64-bit FNV-1a hash
  /// (draft-eastlake-fnv) of its words. Both ends compare what they took for the same map.
  var fingerprint: UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ word: UInt64) { hash = (hash ^ word) &* 0x0000_0100_0000_01b3 }
    for (id, store) in stores.sorted(by: { $0.key < $1.key }) {
      add(UInt64(id.rawValue))
      switch store {
      case .physical(let medium):
        add(0)
        add(medium.rawValue.high)
        add(medium.rawValue.low)
      case .logical(let label):
        add(1)
        for byte in label.utf8 { add(UInt64(byte)) }
      }
      let own = extents[id] ?? []
      add(UInt64(own.count))
      for extent in own {
        add(extent.offset)
        add(extent.length)
        add(UInt64(extent.placement.columns))
        add(UInt64(extent.placement.copies))
        add(extent.placement.stripeLength)
        for target in extent.placement.targets {
          add(UInt64(target.store.rawValue))
          add(target.offset)
        }
      }
    }
    return hash
  }
}
