import Dispatch
import FrozenImage
import ImageReader
import ImageService
import LinuxIO
import Logging
import Synchronization

/// Who answers questions about an image: a service, or nobody.
protocol ImageQuestions: MappingSource {
  /// Where the service is, for people.
  var serviceName: String { get }

  /// Asks whether the image is still what was frozen.
  ///
  /// - Throws: `SourceError` when it is not, and when nobody can tell.
  func liveCheck() throws(SourceError)

  /// Ends the line to the service.
  func close()
}

/// The service that the image was fetched from.
extension RemoteImage: ImageQuestions {
  var serviceName: String { address.description }
}

/// Nobody: the image is a file, which names no service. Its reads hold for as long as
/// the witness on the media does not change.
struct NoQuestions: ImageQuestions {
  let file: String

  var serviceName: String { "none (mounted from \(file))" }

  func liveCheck() throws(SourceError) {
    throw .unreachable("\(file) names no service")
  }

  func close() {}

  func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    throw .failed(
      "the witness on the media is not that of the freeze, and \(file) names no service that "
        + "could tell what moved")
  }

  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    throw .failed(
      "inode \(inode) has bytes that only the production host can read, and \(file) names no "
        + "service")
  }
}

/// The service that a representation names. It is needed only when something changed,
/// so nothing waits for it before; but it is told of a mount as soon as it can be
/// reached, so that it does not thaw the image under the mount.
final class LateQuestions: ImageQuestions {
  private let service: ServiceAddress
  private let image: UniqueIdentifier
  private let mountpoint: String?
  private let timeouts: RemoteImage.Timeouts
  private let connected = Mutex<RemoteImage?>(nil)
  private let closed = DispatchSemaphore(value: 0)

  /// Seconds between two tries to tell the service of a mount.
  private static let retryInterval = 60

  init(
    to service: ServiceAddress, image: UniqueIdentifier, mountpoint: String?,
    timeouts: RemoteImage.Timeouts
  ) {
    self.service = service
    self.image = image
    self.mountpoint = mountpoint
    self.timeouts = timeouts
    // Without a thread it is told at the first question.
    if mountpoint != nil { try? Thread.detach { [self] in announce() } }
  }

  /// Tells the service of the mount; ends when it knows, or when nobody needs it.
  private func announce() {
    repeat {
      if (try? remote()) != nil { return }
    } while closed.wait(timeout: .now() + .seconds(Self.retryInterval)) == .timedOut
  }

  var serviceName: String { service.description }

  func liveCheck() throws(SourceError) { try remote().liveCheck() }

  func close() {
    closed.signal()
    connected.withLock { $0 }?.close()
  }

  func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    try remote().answer(question)
  }

  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    try remote().read(inode: inode, offset: offset, into: buffer)
  }

  private func remote() throws(SourceError) -> RemoteImage {
    if let remote = connected.withLock({ $0 }) { return remote }
    let remote: RemoteImage
    do throws(ServiceError) {
      remote = try RemoteImage.connect(
        to: service, timeouts: timeouts, logger: Logger(label: "floe.wire"))
      guard remote.summary.id == image else {
        remote.close()
        throw ServiceError.unknownImage("\(image)", service.endpoint)
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
