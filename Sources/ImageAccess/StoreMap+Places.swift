import FrozenImage

extension StoreMap {
  /// Whether both lead to the same places on the same media, whatever lies between.
  func hasPlaces(of other: StoreMap) -> Bool {
    guard tops == other.tops else { return false }
    return tops.allSatisfy { store in
      guard let places = places(of: store), let others = other.places(of: store) else {
        return false
      }
      return places == others
    }
  }

  /// The stores on which no other one lies.
  private var tops: Set<StoreID> {
    var tops = Set(stores.keys)
    for extent in extents.values.lazy.joined() {
      for target in extent.placement.targets { tops.remove(target.store) }
    }
    return tops
  }

  /// A run of a store and where it lies.
  private struct Place: Equatable {
    var range: Range<UInt64>
    let copies: [MediumAddress]

    /// Whether another one goes on where this one ends, on the media as well.
    func goesOn(in next: Place) -> Bool {
      let length = range.upperBound - range.lowerBound
      return range.upperBound == next.range.lowerBound && copies.count == next.copies.count
        && zip(copies, next.copies).allSatisfy { copy, following in
          copy.medium == following.medium
            && copy.offset.addingReportingOverflow(length) == (following.offset, false)
        }
    }
  }

  /// Where all of a store lies, in as few runs as can be; `nil` when it leads nowhere.
  private func places(of store: StoreID) -> [Place]? {
    var places: [Place] = []
    for extent in extents[store] ?? [] {
      let start = StoreAddress(store: store, offset: extent.offset)
      guard let runs = try? resolve(start, length: extent.length) else { return nil }
      for run in runs {
        // Inside of the extent, whose end fits.
        let first = extent.offset + run.position
        let place = Place(range: first..<first + run.length, copies: run.copies)
        if let last = places.last, last.goesOn(in: place) {
          places[places.count - 1].range = last.range.lowerBound..<place.range.upperBound
        } else {
          places.append(place)
        }
      }
    }
    return places
  }
}
