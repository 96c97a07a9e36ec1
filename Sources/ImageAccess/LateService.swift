import Dispatch
package import FrozenImage
import HostSystem
package import ImageReader
import Synchronization

/// The service that a representation names. It is needed only when something changed,
/// so nothing waits for it before; but it is told of a mount as soon as it can be
/// reached, so that it does not thaw the image under the mount.
package final class LateService: ProductionHost {
  package let address: ServiceAddress
  private let image: UniqueIdentifier
  private let mountpoint: String?
  private let connect: ServiceConnector
  private let connected = Mutex<(any ServiceImage)?>(nil)
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

  /// Ends the line.
  package func close() {
    closed.signal()
    connected.withLock { $0 }?.close()
  }

  package func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    try remote().answer(question)
  }

  package func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    try remote().read(inode: inode, offset: offset, into: buffer)
  }

  private func remote() throws(SourceError) -> any ServiceImage {
    if let remote = connected.withLock({ $0 }) { return remote }
    let remote: any ServiceImage
    do throws(ServiceError) {
      remote = try connect(address)
      guard remote.id == image else {
        remote.close()
        throw ServiceError.unknownImage("\(image)", address.endpoint)
      }
      if let mountpoint { try remote.startSession(for: mountpoint) }
    } catch {
      if case .thawed(let reason) = error { throw .thawed(reason) }
      throw .unreachable(error.description)
    }
    // Of two that connected at once, the first one's line is kept.
    let kept = connected.withLock { connected in
      if let connected { return connected }
      connected = remote
      return remote
    }
    if kept !== remote { remote.close() }
    return kept
  }
}
