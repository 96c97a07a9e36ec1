import FrozenImage
import HostSystem
import ImageService
import Logging
import SystemPackage

/// Runs a body that blocks on a thread of its own.
func blocking<Result: Sendable>(
  _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    do throws(Errno) {
      try Thread.detach { continuation.resume(with: Swift.Result { try body() }) }
    } catch {
      continuation.resume(throwing: error)
    }
  }
}

/// A service in this process.
final class TestService: Sendable {
  let server: ImageServer
  let endpoint: Endpoint
  private let running: Task<Void, any Error>

  /// Starts a service whose images all have the same provider.
  convenience init(
    _ catalogue: Catalogue, listen: Endpoint? = nil, image: MemoryImage
  ) async throws {
    try await self.init(catalogue, listen: listen) { _ in image }
  }

  init(
    _ catalogue: Catalogue, listen: Endpoint? = nil,
    open: @escaping @Sendable (ImageRecord) throws -> any ServedImage
  ) async throws {
    let server = ImageServer(
      catalogue: catalogue, host: "production1", logger: Logger(label: "test"), open: open)
    let endpoint = try listen ?? ImageServer.defaultEndpoint(of: catalogue)
    let (ready, continuation) = AsyncThrowingStream<Endpoint, any Error>.makeStream()
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
