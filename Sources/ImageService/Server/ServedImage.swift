import FrozenImage
import Glibc
public import ImageReader
import Synchronization
import SystemPackage

/// An image's provider, as the service calls it. Calls block and are made on threads of
/// the service's own.
public protocol ServedImage: MappingSource {
  /// Asks whether the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  func liveCheck() throws(SourceError)
}

/// The providers of the images that were asked for; one for each image.
final class ServedImages: Sendable {
  private struct Open {
    let name: String
    let image: any ServedImage
  }

  private let catalogue: Catalogue
  private let open: @Sendable (ImageRecord) throws -> any ServedImage
  private let images = Mutex<[UniqueIdentifier: Open]>([:])

  init(
    catalogue: Catalogue, open: @escaping @Sendable (ImageRecord) throws -> any ServedImage
  ) {
    self.catalogue = catalogue
    self.open = open
  }

  /// The provider of an image, opened by the first call. Blocks.
  ///
  /// - Throws: `SourceError.thawed` when the image was there and is no more, what the
  ///   catalogue and the provider throw otherwise.
  func image(_ id: UniqueIdentifier) throws -> any ServedImage {
    if let found = images.withLock({ $0[id] }) {
      if access(catalogue.recordPath(of: id).string, F_OK) == 0 { return found.image }
      drop(id)
      throw SourceError.thawed("“\(found.name)” was thawed")
    }
    let record = try catalogue.frozenRecord(of: id)
    let opened = Open(name: record.name, image: try open(record))
    // Of two calls that opened it at once, the first one's is kept.
    return images.withLock { images in
      if let found = images[id] { return found.image }
      images[id] = opened
      return opened.image
    }
  }

  /// Forgets a provider; the next call opens it anew.
  func drop(_ id: UniqueIdentifier) {
    images.withLock { $0[id] = nil }
  }
}
