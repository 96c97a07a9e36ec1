import FrozenImage
import Glibc
public import ImageReader
import LinuxIO
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
///
/// A provider keeps the image's volume busy, so none is kept longer than somebody uses
/// it. One that is dropped goes with the last call that is still in it.
final class ServedImages: Sendable {
  /// Nanoseconds that a provider without a session is kept after it was asked for.
  static let idleTime: UInt64 = 30_000_000_000

  private struct Open {
    let name: String
    let image: any ServedImage
    /// Nanoseconds of `clock`.
    var lastAsked: UInt64
  }

  private let catalogue: Catalogue
  private let open: @Sendable (ImageRecord) throws -> any ServedImage
  private let clock: @Sendable () -> UInt64
  private let images = Mutex<[UniqueIdentifier: Open]>([:])

  /// - Parameter clock: nanoseconds, against which providers become idle.
  init(
    catalogue: Catalogue, clock: @escaping @Sendable () -> UInt64 = { MonotonicClock.now() },
    open: @escaping @Sendable (ImageRecord) throws -> any ServedImage
  ) {
    self.catalogue = catalogue
    self.clock = clock
    self.open = open
  }

  /// The provider of an image, opened by the first call. Blocks.
  ///
  /// - Throws: `SourceError.thawed` when the image was there and is no more, what the
  ///   catalogue and the provider throw otherwise.
  func image(_ id: UniqueIdentifier) throws -> any ServedImage {
    let now = clock()
    let found = images.withLock { images in
      images[id]?.lastAsked = now
      return images[id]
    }
    if let found {
      if !isGone(id) { return found.image }
      drop(id)
      throw SourceError.thawed("“\(found.name)” was thawed")
    }
    let record = try catalogue.frozenRecord(of: id)
    let opened = Open(name: record.name, image: try open(record), lastAsked: now)
    // Of two calls that opened it at once, the first one's is kept.
    return images.withLock { images in
      if let found = images[id] { return found.image }
      images[id] = opened
      return opened.image
    }
  }

  /// Drops the providers of images that are thawed, and of those that nobody has mounted
  /// and nobody asked for lately. Blocks.
  func dropUnused() {
    let now = clock()
    for (id, open) in images.withLock({ $0 }) {
      let isIdle = now >= open.lastAsked && now - open.lastAsked >= Self.idleTime
      if isGone(id) || isIdle && !isMounted(id) { drop(id) }
    }
  }

  /// Drops the provider of an image whose last session has ended. Blocks.
  func sessionEnded(on id: UniqueIdentifier) {
    if !isMounted(id) { drop(id) }
  }

  /// Forgets a provider; the next call opens it anew.
  private func drop(_ id: UniqueIdentifier) {
    // The provider itself ends outside the lock: closing its files may take a while.
    let dropped = images.withLock { $0.removeValue(forKey: id) }
    withExtendedLifetime(dropped) {}
  }

  private func isGone(_ id: UniqueIdentifier) -> Bool {
    access(catalogue.recordPath(of: id).string, F_OK) != 0 && errno == ENOENT
  }

  /// Sessions that cannot be read count.
  private func isMounted(_ id: UniqueIdentifier) -> Bool {
    (try? catalogue.sessions(of: id).isEmpty) != true
  }
}
