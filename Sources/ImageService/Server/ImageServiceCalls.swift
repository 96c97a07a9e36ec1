import Catalogue
import FloeWire
import FoundationEssentials
import FrozenImage
import GRPCCore
import Glibc
import HostSystem
import ImageReader
import NIOCore
import SwiftProtobuf
import SystemPackage

/// The calls of `floe.v1.ImageService`.
struct ImageServiceCalls: Floe_V1_ImageService.SimpleServiceProtocol {
  let catalogue: Catalogue
  /// The production host's name.
  let host: String
  let images: ServedImages
  /// What answers told before.
  let maps = ToldMaps()
  let pool: BlockingPool
  /// The threads that move the bytes of all connections.
  let loops: any EventLoopGroup
  let log: ServiceLog

  /// Runs a call's blocking work on the pool, and words its errors for the wire.
  private func blocking<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await wording { try await pool.run(body) }
  }

  /// Calls an image's provider on one of the image's threads, and words errors for the wire.
  private func asking<Result: Sendable>(
    _ image: UniqueIdentifier, _ body: @escaping @Sendable (any ProductionHost) throws -> Result
  ) async throws -> Result {
    try await wording(about: image) { try await images.call(image, body) }
  }

  private func wording<Result>(
    about image: UniqueIdentifier? = nil, _ body: () async throws -> Result
  ) async throws -> Result {
    do { return try await body() } catch let error as CancellationError {
      throw error
    } catch {
      let answer = await naming(RPCError(answering: error))
      // What makes no sense is the client's fault, and it is told.
      if answer.code != .invalidArgument { log.failed(answer.message, about: image) }
      throw answer
    }
  }

  /// Writes a message, and waits until the threads of the transport have it: they tell only
  /// then that the client's window is full, and the next write waits for the client. Without
  /// this a call writes on for as long as those threads are busy, and all of that is memory
  /// of a client that reads slowly.
  private func write<Message>(_ message: Message, to response: RPCWriter<Message>) async throws {
    try await response.write(message)
    for loop in loops.makeIterator() { try await loop.submit {}.get() }
  }

  /// Adds to a final “no” which state directory it is about: a backup host is to believe
  /// only the one that its image is in.
  private func naming(_ answer: RPCError) async -> RPCError {
    guard [.notFound, .failedPrecondition].contains(answer.code) else { return answer }
    do {
      var answer = answer
      let identifier = try await pool.run { try catalogue.identifier() }
      answer.metadata.addString("\(identifier)", forKey: WireProtocol.stateDirectoryTrailer)
      return answer
    } catch {
      return RPCError(answer: .unavailable, "\(error)")
    }
  }

  // MARK: - Images

  func hello(
    request: Floe_V1_HelloRequest, context: ServerContext
  ) async throws -> Floe_V1_HelloResponse {
    let common = WireProtocol.common(
      minimum: request.minimumVersion, maximum: request.maximumVersion)
    guard let common else {
      throw RPCError(
        answer: .failedPrecondition,
        "the service speaks the protocol versions \(WireProtocol.versions.lowerBound) to "
          + "\(WireProtocol.versions.upperBound), the backup host \(request.minimumVersion) to "
          + "\(request.maximumVersion): there is none in common")
    }
    let identifier = try await blocking { try catalogue.identifier() }
    return .with {
      $0.version = common
      $0.stateDirectory = identifier.wire
      $0.capabilities = WireProtocol.capabilities.sorted()
      $0.host = host
      let now = Timestamp.now
      $0.clockMilliseconds = now.seconds * 1000 + Int64(now.nanoseconds) / 1_000_000
    }
  }

  func listImages(
    request: Floe_V1_ListImagesRequest, response: RPCWriter<Floe_V1_ImageSummary>,
    context: ServerContext
  ) async throws {
    for entry in try await blocking({ try catalogue.entries() }) where entry.state == .frozen {
      guard let record = entry.record else { continue }
      try await write(
        .with {
          $0.image = record.id.wire
          $0.name = record.name
          $0.provider = record.provider
          $0.source = record.source
          $0.createdSeconds = record.created.seconds
          $0.createdNanoseconds = record.created.nanoseconds
          $0.representationLength = record.representation?.length ?? 0
        }, to: response)
    }
  }

  func fetchRepresentation(
    request: Floe_V1_FetchRepresentationRequest,
    response: RPCWriter<Floe_V1_RepresentationChunk>, context: ServerContext
  ) async throws {
    let file = try await blocking {
      try StoredRepresentation(
        of: try UniqueIdentifier(wire: request.image, "the image"), in: catalogue)
    }
    let header = file.header
    guard request.offset <= header.length else {
      throw RPCError(
        answer: .invalidArgument,
        "the representation has \(header.length) bytes, and \(request.offset) is behind its end")
    }
    try await response.write(.with { $0.header = header })
    var offset = request.offset
    while offset < header.length {
      let start = offset
      let chunk = try await blocking { try file.read(at: start) }
      try await write(
        .with {
          $0.offset = start
          $0.data = chunk
        }, to: response)
      offset += UInt64(chunk.count)
    }
    if let image = try? UniqueIdentifier(wire: request.image, "the image") {
      log.fetched(image, bytes: header.length - request.offset)
    }
  }

  // MARK: - The mapping

  func answer(
    request: Floe_V1_AnswerRequest, response: RPCWriter<Floe_V1_AnswerPage>,
    context: ServerContext
  ) async throws {
    let id = try await wording { try UniqueIdentifier(wire: request.image, "the image") }
    let paging = try await asking(id) { [maps] image in
      let question = try MappingQuestion(wire: request)
      let answer = try image.answer(question)
      let known =
        request.hasKnownMap
        ? maps.map(of: id, question.known.configurationID, fingerprint: request.knownMap) : nil
      do { return try AnswerPaging(answer, since: known) } catch {
        throw RPCError(answer: .internalError, "\(error)")
      }
    }
    if let told = paging.told { maps.note(told, of: id) }
    try await paging.forEach { try await write($0, to: response) }
  }

  func liveCheck(
    request: Floe_V1_LiveCheckRequest, context: ServerContext
  ) async throws -> Floe_V1_LiveCheckResponse {
    let id = try await wording { try UniqueIdentifier(wire: request.image, "the image") }
    let fill = try await asking(id) { image in
      try image.liveCheck()
      return request.wantsFill ? image.fill() : nil
    }
    return .with { response in
      if let fill { response.fill = fill.wire }
    }
  }

  func readPortion(
    request: Floe_V1_ReadPortionRequest, response: RPCWriter<Floe_V1_PortionChunk>,
    context: ServerContext
  ) async throws {
    let portion = try await wording { try PortionRequest(wire: request) }
    let bytes = try await asking(portion.image) { try Self.read(portion, from: $0) }
    for start in stride(from: 0, to: bytes.count, by: WireLimit.chunkLength) {
      let end = min(start + WireLimit.chunkLength, bytes.count)
      try await write(
        .with {
          $0.offset = request.offset + UInt64(start)
          $0.data = Data(bytes[start..<end])
        }, to: response)
    }
  }

  private static func read(
    _ portion: PortionRequest, from image: any ProductionHost
  ) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: portion.count) { buffer, count in
      let space = UnsafeMutableRawBufferPointer(
        rebasing: UnsafeMutableRawBufferPointer(buffer)[..<portion.count])
      let read = try image.read(inode: portion.inode, offset: portion.offset, into: space)
      guard (0...space.count).contains(read) else {
        throw SourceError.failed("inode \(portion.inode): \(read) bytes came of \(space.count)")
      }
      count = read
    }
  }

  // MARK: - Sessions

  func keepSession(
    request: Floe_V1_KeepSessionRequest, context: ServerContext
  ) async throws -> Floe_V1_KeepSessionResponse {
    try await blocking { [log] in
      let image = try UniqueIdentifier(wire: request.image, "the image")
      guard request.backupHost.utf8.count <= 255 else {
        throw WireError("the backup host's name has more than 255 bytes")
      }
      let session = SessionRecord(
        id: try UniqueIdentifier(wire: request.session, "the session"),
        backupHost: request.backupHost,
        mountpoint: try request.mountpoint.checked("the mount point"))
      if try catalogue.keep(session, on: image) { log.sessionBegan(session, on: image) }
    }
    return .with { $0.lifetimeSeconds = UInt32(clamping: Catalogue.sessionLifetime) }
  }

  func endSession(
    request: Floe_V1_EndSessionRequest, context: ServerContext
  ) async throws -> Floe_V1_EndSessionResponse {
    try await blocking {
      let image = try UniqueIdentifier(wire: request.image, "the image")
      let session = try UniqueIdentifier(wire: request.session, "the session")
      try catalogue.end(session, on: image)
      log.sessionEnded(session, on: image)
      images.sessionEnded(on: image)
    }
    return Floe_V1_EndSessionResponse()
  }
}
