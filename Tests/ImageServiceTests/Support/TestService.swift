import Catalogue
import FrozenImage
import HostSystem
import ImageAccess
import ImageFixtures
import ImageReader
import ImageService
import Logging
import SystemPackage

/// A service in this process.
final class TestService: Sendable {
  let server: ImageServer
  let endpoint: ServiceEndpoint
  private let running: Task<Void, any Error>

  /// Starts a service whose images all have the same provider.
  convenience init(
    _ catalogue: Catalogue, listen: ServiceEndpoint? = nil, image: MemoryImage
  ) async throws {
    try await self.init(catalogue, listen: listen) { _ in image }
  }

  init(
    _ catalogue: Catalogue, listen: ServiceEndpoint? = nil,
    open: @escaping @Sendable (ImageRecord) throws -> any ProductionHost
  ) async throws {
    let server = ImageServer(
      catalogue: catalogue, host: "production1", logger: Logger(label: "test"), open: open)
    let endpoint = try listen ?? ImageServer.defaultEndpoint(of: catalogue)
    let (ready, continuation) = AsyncThrowingStream<ServiceEndpoint, any Error>.makeStream()
    running = Task {
      do {
        try await server.run(listen: endpoint) { continuation.yield($0) }
        continuation.finish()
      } catch {
        continuation.finish(throwing: error)
        throw error
      }
    }
    var iterator = ready.makeAsyncIterator()
    guard let bound = try await iterator.next() else { throw CancellationError() }
    self.server = server
    self.endpoint = bound
  }

  func address(of image: String) throws -> ServiceAddress {
    switch endpoint {
    case .unix(let path): try ServiceAddress("floe+unix:\(path)/\(image)")
    case .loopback: try ServiceAddress("floe://\(endpoint)/\(image)")
    case .ssh: try ServiceAddress("\(endpoint)/\(image)")
    }
  }

  /// Connects from a thread of its own.
  func connect(
    to image: String, timeouts: RemoteImage.Timeouts = .init()
  ) async throws -> RemoteImage {
    let address = try address(of: image)
    return try await blocking {
      try RemoteImage.connect(to: address, timeouts: timeouts, logger: Logger(label: "test"))
    }
  }

  func stop() async throws {
    server.shutDown()
    try await running.value
  }

  /// Waits until the service has ended.
  func end() async throws { try await running.value }
}

/// All bytes of a file, which is closed.
func content(of file: FileDescriptor) throws -> [UInt8] {
  try file.closeAfter {
    try file.seek(offset: 0, from: .start)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
      if count == 0 { return bytes }
      bytes += chunk.prefix(count)
    }
  }
}
