import FrozenImage
import Synchronization

/// A map that both ends of the wire have, and its fingerprint.
struct KnownMap: Sendable {
  let configurationID: ConfigurationID
  let map: StoreMap
  let fingerprint: UInt64

  init(_ configurationID: ConfigurationID, _ map: StoreMap) {
    self.configurationID = configurationID
    self.map = map
    fingerprint = map.fingerprint
  }
}

/// The maps that a service told lately, by image: what the next answer need not tell again.
final class ToldMaps: Sendable {
  /// Most maps of an image, and most images: each map may have a million extents.
  private static let mapsOfImage = 2
  private static let images = 8

  /// In the order in which they were told; images in that in which they were asked about.
  private let told = Mutex<[(image: UniqueIdentifier, maps: [KnownMap])]>([])

  /// The map of a state that a client has, too.
  func map(
    of image: UniqueIdentifier, _ state: ConfigurationID, fingerprint: UInt64
  ) -> StoreMap? {
    told.withLock { told in
      told.first { $0.image == image }?.maps.last {
        $0.configurationID == state && $0.fingerprint == fingerprint
      }?.map
    }
  }

  func note(_ map: KnownMap, of image: UniqueIdentifier) {
    told.withLock { told in
      var maps = told.first { $0.image == image }?.maps ?? []
      maps.append(map)
      told.removeAll { $0.image == image }
      told.append((image, Array(maps.suffix(Self.mapsOfImage))))
      if told.count > Self.images { told.removeFirst() }
    }
  }
}
