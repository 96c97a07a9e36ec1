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
    var isDone = false
  }

  private let lease: Lease
  private let keep: @Sendable (Lease, UniqueIdentifier) throws -> Void
  private let state = Monitor(State())

  /// - Parameter keep: writes an image's lease.
  /// - Throws: `EAGAIN` when the system has no thread left.
  init(
    _ lease: Lease, keep: @escaping @Sendable (Lease, UniqueIdentifier) throws -> Void
  ) throws(Errno) {
    self.lease = lease
    self.keep = keep
    try Thread.detach { [self] in
      keepAll()
      state.withLock { $0.isDone = true }
      state.notifyAll()
    }
  }

  /// Gives an image the lease, and keeps it from now on.
  func add(_ image: UniqueIdentifier) throws {
    try keep(lease, image)
    state.withLock { $0.images.append(image) }
  }

  /// Lets the leases run on. None is written any more afterwards.
  func stop() {
    state.withLock { $0.isStopped = true }
    state.notifyAll()
    state.wait { $0.isDone ? .done(()) : .wait }
  }

  private func keepAll() {
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
      for image in images { try? keep(lease, image) }
    }
  }
}
