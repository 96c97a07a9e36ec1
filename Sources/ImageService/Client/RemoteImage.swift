import FloeWire
import FoundationEssentials
public import FrozenImage
import GRPCCore
public import HostSystem
public import ImageAccess
public import ImageReader
public import Logging
import SwiftProtobuf
import Synchronization
public import SystemPackage

/// An image of a production host, as a backup host sees it over the wire.
///
/// Every call blocks the thread that makes it, which must not be one of Swift's
/// cooperative pool.
public final class RemoteImage: ServiceImage {
  /// How long calls may take.
  public struct Timeouts: Sendable {
    /// For a question, a live check, a portion, a word about the session. A question may
    /// have to wait for a transaction of the production host's file system.
    public var call: Duration = .seconds(25)
    /// For a live check, at the most: somebody waits to see it.
    public var liveCheck: Duration = .seconds(3)
    /// For the whole fetch to make no progress, before it is given up.
    public var stalledFetch: Duration = .seconds(30)
    /// Between two words about the session.
    public var keepAlive: Duration = .seconds(15)

    public init() {}
  }

  /// What the service said of the image when it was asked for.
  public let summary: ImageSummary

  public var id: UniqueIdentifier { summary.id }

  /// How the image was asked for.
  public let address: ServiceAddress
  /// The production host's name.
  public let host: String
  let connection: ServiceConnection
  let timeouts: Timeouts
  let logger: Logger
  private let reached = Mutex(true)
  private let session = Mutex<Session?>(nil)
  /// The last map that the service told.
  private let told = Mutex<KnownMap?>(nil)

  private init(
    _ summary: ImageSummary, at address: ServiceAddress, host: String,
    connection: ServiceConnection, timeouts: Timeouts,
    logger: Logger
  ) {
    self.summary = summary
    self.address = address
    self.host = host
    self.connection = connection
    self.timeouts = timeouts
    self.logger = logger
  }

  deinit { session.withLock { $0?.keeper.cancel() } }

  /// Connects to a service and finds the image that an address names.
  ///
  /// - Throws: `ServiceError.unreachable`, `.incompatible`, `.unknownImage`.
  public static func connect(
    to address: ServiceAddress, timeouts: Timeouts = Timeouts(), logger: Logger
  ) throws(ServiceError) -> RemoteImage {
    let (connection, host) = try ServiceConnection.connect(
      to: address.endpoint, timeout: timeouts.call)
    let id = UniqueIdentifier(address.image)
    let summary = try connection.images(timeout: timeouts.call).first {
      $0.id == id || $0.name == address.image
    }
    guard let summary else { throw .unknownImage(address.image, address.endpoint) }
    return RemoteImage(
      summary, at: address, host: host, connection: connection, timeouts: timeouts,
      logger: logger)
  }

  /// Whether the production host answered when it was asked last.
  var isReachable: Bool { reached.withLock { $0 } }

  /// Fetches the representation into a file of the directory that has no name, so that
  /// nobody else can change it; goes on where it stopped when the line breaks.
  ///
  /// - Parameter limit: how much room it may take.
  /// - Returns: a descriptor that the caller owns; all bytes are there, and their digest
  ///   is the one that the production host told.
  /// - Throws: `ServiceError`; `.corrupt` when the digest differs, `.cannotKeep` when there
  ///   is no room for the length that the production host names.
  public func fetchRepresentation(
    into directory: FilePath, limit: CacheLimit = .standard
  ) throws(ServiceError) -> FileDescriptor {
    try RepresentationFetch(of: self, into: directory, limit: limit).run()
  }

  // MARK: - ProductionHost

  public func answer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer {
    var request = question.wire(image: summary.id)
    let known = told.withLock { $0 }.flatMap {
      $0.configurationID == question.known.configurationID ? $0 : nil
    }
    if let known { request.knownMap = known.fingerprint }
    do {
      let answer = try answer(request, since: known)
      if let volume = answer.volume {
        let map = KnownMap(answer.state.configurationID, volume.map)
        told.withLock { $0 = map }
      }
      return answer
    } catch {
      // Whatever went wrong, the next answer tells the whole.
      told.withLock { $0 = nil }
      throw error
    }
  }

  private func answer(
    _ request: Floe_V1_AnswerRequest, since known: KnownMap?
  ) throws(SourceError) -> MappingAnswer {
    try ask { calls, options in
      try await calls.answer(request, options: options) { response in
        var assembly = AnswerAssembly(since: known)
        for try await page in response.messages { try assembly.add(page) }
        return try assembly.finish()
      }
    }
  }

  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SourceError) -> Int {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(
        rebasing: buffer[done...].prefix(WireLimit.portionLength))
      let bytes = try readOnce(inode: inode, offset: offset &+ UInt64(done), count: rest.count)
      rest.copyBytes(from: bytes)
      done += bytes.count
      if bytes.count < rest.count { break }
    }
    return done
  }

  /// Reads at most what one call may ask for.
  private func readOnce(
    inode: UInt64, offset: UInt64, count: Int
  ) throws(SourceError) -> [UInt8] {
    let request = Floe_V1_ReadPortionRequest.with {
      $0.image = summary.id.wire
      $0.inode = inode
      $0.offset = offset
      $0.length = UInt32(clamping: count)
    }
    return try ask { calls, options in
      try await calls.readPortion(request, options: options) { response in
        var assembly = PortionAssembly(inode: inode, offset: offset, count: count)
        for try await chunk in response.messages { try assembly.add(chunk) }
        return assembly.bytes
      }
    }
  }

  /// Asks whether the image is still what was frozen.
  ///
  /// - Throws: `SourceError.thawed` when it is not.
  public func liveCheck() throws(SourceError) {
    let request = Floe_V1_LiveCheckRequest.with { $0.image = summary.id.wire }
    _ = try ask(timeout: min(timeouts.call, timeouts.liveCheck)) {
      try await $0.liveCheck(request, options: $1)
    }
  }

  public func fill() -> SnapshotFill? {
    let request = Floe_V1_LiveCheckRequest.with {
      $0.image = summary.id.wire
      $0.wantsFill = true
    }
    let response = try? ask(timeout: min(timeouts.call, timeouts.liveCheck)) {
      try await $0.liveCheck(request, options: $1)
    }
    guard let response, response.hasFill else { return nil }
    return try? SnapshotFill(wire: response.fill)
  }

  private func ask<Result: Sendable>(
    timeout: Duration? = nil,
    _ body: @escaping @Sendable (ServiceConnection.Calls, CallOptions) async throws -> Result
  ) throws(SourceError) -> Result {
    do throws(ServiceError) {
      let result = try connection.call(timeout: timeout ?? timeouts.call, body)
      note(nil)
      return result
    } catch {
      note(error)
      throw error.asSourceError
    }
  }

  /// Remembers whether the production host answers, and logs when that changes.
  private func note(_ error: ServiceError?) {
    var isReached = true
    switch error {
    case .unreachable?, .otherStateDirectory?: isReached = false
    default: break
    }
    let changed = reached.withLock { reached in
      defer { reached = isReached }
      return reached != isReached
    }
    guard changed else { return }
    if let error, !isReached {
      logger.warning("\(error)")
    } else {
      logger.notice("the service at \(connection.endpoint) answers again")
    }
  }

  // MARK: - The session

  private struct Session {
    let id: UniqueIdentifier
    let keeper: Task<Void, Never>
  }

  /// Tells the production host that the image is mounted here, now and from then on in
  /// the background, so that it is not thawed meanwhile.
  ///
  /// - Throws: `ServiceError` when the production host does not take the session.
  public func startSession(backupHost: String, mountpoint: String) throws(ServiceError) {
    let id = UniqueIdentifier.random()
    let request = Floe_V1_KeepSessionRequest.with {
      $0.session = id.wire
      $0.image = summary.id.wire
      $0.backupHost = backupHost
      $0.mountpoint = mountpoint
    }
    _ = try connection.call(timeout: timeouts.call) {
      try await $0.keepSession(request, options: $1)
    }
    let interval = timeouts.keepAlive
    let keeper = Task.detached { [weak self] in
      while (try? await Task.sleep(for: interval)) != nil {
        guard let self else { return }
        await self.keep(request)
      }
    }
    session.withLock { $0 = Session(id: id, keeper: keeper) }
  }

  private func keep(_ request: Floe_V1_KeepSessionRequest) async {
    let result = await connection.result(timeout: timeouts.call) {
      try await $0.keepSession(request, options: $1)
    }
    switch result {
    case .success: note(nil)
    case .failure(let error): note(error)
    }
  }

  /// Ends the session and the line. A production host that cannot be reached forgets the
  /// session by itself.
  public func close() {
    let session = session.withLock { session in
      defer { session = nil }
      return session
    }
    if let session {
      session.keeper.cancel()
      let request = Floe_V1_EndSessionRequest.with {
        $0.session = session.id.wire
        $0.image = summary.id.wire
      }
      _ = try? connection.call(timeout: timeouts.call) {
        try await $0.endSession(request, options: $1)
      }
    }
    connection.close()
  }
}
