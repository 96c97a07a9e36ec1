import Dispatch
import FrozenImage
import HostSystem
import ImageReader
import ImageService
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

  /// Whether the service was verified to run on this very host, and has the image.
  var isOnThisHost: Bool { get }

  /// Ends the line to the service.
  func close()
}

extension ServiceAddress {
  /// Whether floe itself listens there, on this very host.
  fileprivate var isOnThisHost: Bool {
    guard case .unix(let path) = endpoint else { return false }
    return LocalPeer.isThisProgram(listeningOn: path)
  }
}

/// The service that the image was fetched from.
extension RemoteImage: ImageQuestions {
  var serviceName: String { address.description }

  var isOnThisHost: Bool { address.isOnThisHost }
}

/// Nobody: the image is a file, which names no service, or one that is not asked. Its
/// reads hold for as long as the witness on the media does not change.
struct NoQuestions: ImageQuestions {
  let file: String
  /// Why nobody is asked.
  let reason: String

  /// - Parameter service: the address in the file, which its owner may have made up;
  ///   `nil` when there is none.
  init(file: String, service: String?, owner: FileOwner) {
    self.file = file
    reason =
      service.map {
        "\(file) belongs to \(owner), so the service that it names is asked only when it is "
          + "allowed: --service \($0)"
      } ?? "\(file) names no service"
  }

  var serviceName: String { "none (mounted from \(file))" }

  var isOnThisHost: Bool { false }

  func liveCheck() throws(SourceError) {
    throw .unreachable(reason)
  }

  func close() {}

  func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    throw .failed(
      "the witness on the media is not that of the freeze, and nobody can tell what moved: "
        + reason)
  }

  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    throw .failed(
      "inode \(inode) has bytes that only the production host can read: \(reason)")
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

  /// It has to answer, too: whoever listens there may have other images.
  var isOnThisHost: Bool { service.isOnThisHost && (try? remote()) != nil }

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
