import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Synchronization
import SystemPackage

/// The providers of the images that were asked for; one for each image.
///
/// A provider keeps the image's volume busy, so none is kept longer than somebody uses
/// it. One that is dropped goes with the last call that is still in it.
final class ServedImages: Sendable {
  /// Nanoseconds that a provider without a session is kept after it was asked for.
  static let idleTime: UInt64 = 30_000_000_000

  private struct Open {
    let lane: ImageLane
    /// Nanoseconds of `clock`.
    var lastAsked: UInt64
  }

  private let catalogue: Catalogue
  private let pool: BlockingPool
  private let open: @Sendable (ImageRecord) throws -> any ProductionHost
  private let clock: @Sendable () -> UInt64
  private let images = Mutex<[UniqueIdentifier: Open]>([:])
  /// Lanes that are there, those of dropped images included whose storage never answered.
  private let lanes = Count()

  /// - Parameters:
  ///   - pool: for looks into the state directory.
  ///   - clock: nanoseconds, against which providers become idle.
  init(
    catalogue: Catalogue, pool: BlockingPool,
    clock: @escaping @Sendable () -> UInt64 = { MonotonicClock.now() },
    open: @escaping @Sendable (ImageRecord) throws -> any ProductionHost
  ) {
    self.catalogue = catalogue
    self.pool = pool
    self.clock = clock
    self.open = open
  }

  /// Calls an image's provider, which the first call opens, on a thread of the image's own.
  ///
  /// - Throws: `SourceError.thawed` when the image was there and is no more, what the
  ///   catalogue, the provider and the body throw otherwise.
  func call<Result: Sendable>(
    _ id: UniqueIdentifier, _ body: @escaping @Sendable (any ProductionHost) throws -> Result
  ) async throws -> Result {
    while true {
      let lane: ImageLane
      if let found = asked(id) {
        lane = found
      } else {
        lane = try await pool.run { try self.lane(for: self.catalogue.frozenRecord(of: id)) }
      }
      let result: Result? = try await lane.pool.run { [weak lane] () throws -> Result? in
        // Dropped while this call waited: the image is looked up anew.
        guard let lane else { return nil }
        return try body(self.provider(in: lane))
      }
      if let result { return result }
    }
  }

  /// Drops the providers of images that are thawed, and of those that nobody has mounted
  /// and nobody asked for lately. Blocks.
  func dropUnused() {
    let now = clock()
    for (id, open) in images.withLock({ $0 }) {
      let isIdle = now >= open.lastAsked && now - open.lastAsked >= Self.idleTime
      if catalogue.isGone(id) || isIdle && !isMounted(id) { drop(id) }
    }
  }

  /// Drops the provider of an image whose last session has ended. Blocks.
  func sessionEnded(on id: UniqueIdentifier) {
    if !isMounted(id) { drop(id) }
  }

  /// The lane of an image that was asked for before; notes that it is again.
  private func asked(_ id: UniqueIdentifier) -> ImageLane? {
    let now = clock()
    return images.withLock { images in
      images[id]?.lastAsked = now
      return images[id]?.lane
    }
  }

  private func lane(for record: ImageRecord) throws -> ImageLane {
    let made = Open(lane: try ImageLane(record, countedBy: lanes), lastAsked: clock())
    // Of two calls that made it at once, the first one's is kept.
    return images.withLock { images in
      if let found = images[record.id] { return found.lane }
      images[record.id] = made
      return made.lane
    }
  }

  private func provider(in lane: ImageLane) throws -> any ProductionHost {
    guard !catalogue.isGone(lane.record.id) else {
      drop(lane.record.id)
      throw SourceError.thawed("“\(lane.record.name)” was thawed")
    }
    return try lane.provider(open)
  }

  /// Forgets a provider; the next call opens it anew.
  private func drop(_ id: UniqueIdentifier) {
    // The provider itself ends outside the lock: closing its files may take a while.
    let dropped = images.withLock { $0.removeValue(forKey: id) }
    withExtendedLifetime(dropped) {}
  }

  /// Sessions that cannot be read count.
  private func isMounted(_ id: UniqueIdentifier) -> Bool {
    (try? catalogue.sessions(of: id).isEmpty) != true
  }
}

/// An image's provider, and the threads that call it. They are the image's own: storage
/// that never answers stops the answers about the images on it, and about no other.
private final class ImageLane: Sendable {
  /// Most lanes of a service.
  private static let maximum = 256
  /// Threads of an image; each may hold a portion (1 MiB).
  private static let threads = 4
  /// Most calls about an image that wait for a thread; more are refused.
  private static let maximumWaiting = 1024

  let record: ImageRecord
  let pool: BlockingPool
  private let opened = Mutex<(any ProductionHost)?>(nil)
  private let count: Count

  /// - Throws: `BlockingPool.Overloaded` when there are too many lanes already, `EAGAIN`
  ///   when the system has no thread left.
  init(_ record: ImageRecord, countedBy count: Count) throws {
    guard count.value.withLock({ $0 }) < Self.maximum else { throw BlockingPool.Overloaded() }
    self.record = record
    self.count = count
    pool = try BlockingPool(threads: Self.threads, maximumWaiting: Self.maximumWaiting)
    count.value.withLock { $0 += 1 }
  }

  deinit { count.value.withLock { $0 -= 1 } }

  /// The provider, opened by the first call. Blocks.
  func provider(
    _ open: (ImageRecord) throws -> any ProductionHost
  ) throws -> any ProductionHost {
    if let opened = opened.withLock({ $0 }) { return opened }
    let provider = try open(record)
    // Of two calls that opened it at once, the first one's is kept.
    return opened.withLock { opened in
      if let opened { return opened }
      opened = provider
      return provider
    }
  }
}

/// How many of something there are.
private final class Count: Sendable {
  let value = Mutex(0)
}
