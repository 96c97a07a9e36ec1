import Catalogue
import FrozenImage
import HostSystem
import SystemPackage

/// Keeps the leases of a backup's images, on a thread of its own, until it is told to stop or the
/// process ends.
final class LeaseKeeper: Sendable {
  private struct State {
    var images: [UniqueIdentifier] = []
    var isStopped = false
  }

  private let catalogue: Catalogue
  private let lease: Lease
  private let state = Monitor(State())

  /// - Throws: `EAGAIN` when the system has no thread left.
  init(_ lease: Lease, in catalogue: Catalogue) throws(Errno) {
    self.catalogue = catalogue
    self.lease = lease
    try Thread.detach { [self] in keep() }
  }

  /// Gives an image the lease, and keeps it from now on.
  func add(_ image: UniqueIdentifier) throws {
    try catalogue.keep(lease, on: image)
    state.withLock { $0.images.append(image) }
  }

  /// Lets the leases run on.
  func stop() {
    state.withLock { $0.isStopped = true }
    state.notifyAll()
  }

  private func keep() {
    // Several times in a lease, so that one that comes late does no harm.
    let pause = min(UInt64(lease.seconds) * 250_000_000, 30_000_000_000)
    while true {
      let next = MonotonicClock.now() + pause
      let images: [UniqueIdentifier]? = state.wait { state in
        if state.isStopped { return .done(nil) }
        return MonotonicClock.now() >= next ? .done(state.images) : .waitUntil(next)
      }
      guard let images else { return }
      // One that was thawed meanwhile needs none.
      for image in images { try? catalogue.keep(lease, on: image) }
    }
  }
}
