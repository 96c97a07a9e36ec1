import Dispatch
package import FrozenImage
import HostSystem
package import ImageReader
import Synchronization

/// The service that a representation names. It is needed only when something changed,
/// so nothing waits for it before; but it is told of a mount as soon as it can be
/// reached, so that it does not thaw the image under the mount.
package final class LateService: ProductionHost {
  /// Where the service is, and which image it is asked for.
  package let address: ServiceAddress
  private let image: UniqueIdentifier
  private let mountpoint: String?
  private let connect: ServiceConnector
  private let line = Mutex(Line())

  private struct Line {
    /// The try to connect that is under way, or that succeeded.
    var attempt: Attempt?
    /// Nobody needs the service any more.
    var isClosed = false
  }
  private let closed = DispatchSemaphore(value: 0)

  /// Seconds between two tries to tell the service of a mount.
  private static let retryInterval = 60

  /// - Parameter mountpoint: where the image is to be mounted; `nil` when it is only looked
  ///   at.
  package init(
    at address: ServiceAddress, image: UniqueIdentifier, mountpoint: String?,
    connect: @escaping ServiceConnector
  ) {
    self.address = address
    self.image = image
    self.mountpoint = mountpoint
    self.connect = connect
    // Without a thread it is told at the first question.
    if mountpoint != nil { try? Thread.detach { [self] in announce() } }
  }

  /// Tells the service of the mount; ends when it knows, or when nobody needs it.
  private func announce() {
    repeat {
      if (try? remote()) != nil { return }
    } while closed.wait(timeout: .now() + .seconds(Self.retryInterval)) == .timedOut
  }

  /// Whether it answers now, and has the image.
  var isReachable: Bool { (try? remote()) != nil }

  package func liveCheck() throws(SourceError) { try remote().liveCheck() }

  package func fill() -> SnapshotFill? { (try? remote())?.fill() }

  /// Ends the line.
  package func close() {
    closed.signal()
    let attempt = line.withLock { line in
      line.isClosed = true
      return line.attempt
    }
    if case .success(let remote)? = attempt?.outcome { remote.close() }
  }

  package func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    try remote().answer(question)
  }

  package func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    try remote().read(inode: inode, offset: offset, into: buffer)
  }

  /// The line to the service; connects when there is none.
  ///
  /// One caller connects. Who comes meanwhile waits, and takes what that one got: else the
  /// service would be told of one mount twice.
  private func remote() throws(SourceError) -> any ServiceImage {
    let (attempt, isNew) = line.withLock { line in
      if let attempt = line.attempt { return (attempt, false) }
      let new = Attempt()
      line.attempt = new
      return (new, true)
    }
    guard isNew else { return try attempt.wait() }
    do {
      let remote = try connected()
      attempt.end(.success(remote))
      // Who closed the line meanwhile did not know of it.
      if line.withLock({ $0.isClosed }) { remote.close() }
      return remote
    } catch {
      // The next caller tries anew.
      line.withLock { $0.attempt = nil }
      attempt.end(.failure(error))
      throw error
    }
  }

  private func connected() throws(SourceError) -> any ServiceImage {
    do throws(ServiceError) {
      let remote = try connect(address)
      do throws(ServiceError) {
        guard remote.id == image else { throw .unknownImage("\(image)", address.endpoint) }
        if let mountpoint { try remote.startSession(for: mountpoint) }
      } catch {
        remote.close()
        throw error
      }
      return remote
    } catch {
      // Its own sentence says what to do.
      if case .unreachable = error { throw .unreachable(error.description) }
      throw error.asSourceError
    }
  }
}

/// One try to connect, and what came of it.
private final class Attempt: Sendable {
  private let ended = Monitor<Result<any ServiceImage, SourceError>?>(nil)

  /// `nil` while it is under way.
  var outcome: Result<any ServiceImage, SourceError>? { ended.withLock { $0 } }

  func end(_ outcome: Result<any ServiceImage, SourceError>) {
    ended.withLock { $0 = outcome }
    ended.notifyAll()
  }

  /// Sleeps until it ended.
  func wait() throws(SourceError) -> any ServiceImage {
    let outcome = ended.wait { outcome in outcome.map { .done($0) } ?? .wait }
    return try outcome.get()
  }
}
