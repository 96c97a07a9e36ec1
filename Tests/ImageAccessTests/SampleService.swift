import FrozenImage
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import SystemPackage

/// A service that notes what it is asked.
final class SampleService: Sendable {
  enum Call: Hashable, Sendable {
    case connect(String)
    case session(String)
    case fetch
    case liveCheck
    case close
  }

  private let id: UniqueIdentifier
  private let file: FilePath?
  private let made = Monitor<[Call]>([])
  private let isHoldingSessions: Monitor<Bool>

  /// - Parameters:
  ///   - id: of the image that it has.
  ///   - file: the representation that it gives.
  ///   - holdsSessions: whether the start of a session takes until `letSessionsStart`.
  init(id: UniqueIdentifier, file: FilePath? = nil, holdsSessions: Bool = false) {
    self.id = id
    self.file = file
    isHoldingSessions = Monitor(holdsSessions)
  }

  var calls: [Call] { made.withLock { $0 } }

  /// Waits for calls.
  func wait(for condition: ([Call]) -> Bool) {
    let _: Void = made.wait { condition($0) ? .done(()) : .wait }
  }

  func letSessionsStart() {
    isHoldingSessions.withLock { $0 = false }
    isHoldingSessions.notifyAll()
  }

  private func note(_ call: Call) {
    made.withLock { $0.append(call) }
    made.notifyAll()
  }

  var connect: ServiceConnector {
    { [self] (address) throws(ServiceError) in
      note(.connect("\(address)"))
      return Image(id: id, address: address, service: self)
    }
  }

  private final class Image: ServiceImage {
    let id: UniqueIdentifier
    let address: ServiceAddress
    private let service: SampleService

    init(id: UniqueIdentifier, address: ServiceAddress, service: SampleService) {
      self.id = id
      self.address = address
      self.service = service
    }

    func fetchRepresentation(
      into directory: FilePath, limit: CacheLimit
    ) throws(ServiceError) -> FileDescriptor {
      service.note(.fetch)
      do {
        guard let file = service.file else { throw Errno.noSuchFileOrDirectory }
        let descriptor = try FileDescriptor.open(file, .readOnly)
        // Only a file without a name is mapped.
        try shell("rm '\(file)'")
        return descriptor
      } catch {
        throw .cannotKeep("\(error)")
      }
    }

    func startSession(backupHost: String, mountpoint: String) throws(ServiceError) {
      service.note(.session(mountpoint))
      let _: Void = service.isHoldingSessions.wait { $0 ? .wait : .done(()) }
    }

    func liveCheck() throws(SourceError) { service.note(.liveCheck) }

    func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
      throw .failed("this service answers nothing")
    }

    func read(
      inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SourceError) -> Int {
      throw .failed("this service reads nothing")
    }

    func close() { service.note(.close) }
  }
}
