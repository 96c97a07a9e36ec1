public import Catalogue
import Dispatch
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
public import ImageAccess
public import ImageReader
public import Logging
import NIOCore
import NIOPosix
import Synchronization
import SystemPackage

/// The production host's end of the wire: serves the images of a catalogue.
public final class ImageServer: Sendable {
  /// Time that calls in flight have to finish when the service stops.
  private static let graceTime = Duration.seconds(10)
  /// Threads for looks into the state directory; images have threads of their own.
  private static let threads = 4
  /// The threads that move the bytes of all connections. They end with the process: a call
  /// that is broken off at the end of the grace time may still write.
  private static let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)
  /// Most calls that wait for a thread; more are refused.
  private static let maximumWaiting = 1024
  /// Most calls at once on one connection.
  private static let maximumStreams = 128
  /// From the last byte of a connection to the question whether anybody is there.
  private static let keepAlive = Duration.seconds(60)
  /// Between two looks for providers that nobody uses any more.
  private static let cleaningInterval = Duration.seconds(2)

  private let catalogue: Catalogue
  private let host: String
  private let open: @Sendable (ImageRecord) throws -> any ProductionHost
  private let logger: Logger
  private let state = Mutex(State())

  private struct State {
    var server: GRPCServer<HTTP2ServerTransport.Posix>?
    var serving: Task<Void, any Error>?
    var isStopping = false
    /// Kept so that they go on to watch.
    var signals: [SignalWatch] = []
  }

  /// - Parameters:
  ///   - host: the production host's name, for people.
  ///   - open: makes the provider of an image; called on a thread that may block.
  public init(
    catalogue: Catalogue, host: String, logger: Logger,
    open: @escaping @Sendable (ImageRecord) throws -> any ProductionHost
  ) {
    self.catalogue = catalogue
    self.host = host
    self.logger = logger
    self.open = open
  }

  /// Where a service listens unless said otherwise: `floe.sock` in the state directory.
  ///
  /// - Throws: `AddressError` when the state directory's path is too long for a socket.
  public static func defaultEndpoint(of catalogue: Catalogue) throws(AddressError)
    -> ServiceEndpoint
  {
    try ServiceEndpoint(socketPath: catalogue.directory.appending("floe.sock").string)
  }

  /// Serves until `shutDown`; removes a Unix socket's file at the end.
  ///
  /// - Parameter ready: called once the service answers, with where it listens.
  /// - Throws: `ListenError`, `CatalogueError`, `Errno` when the system has no threads.
  public func run(listen endpoint: ServiceEndpoint, ready: (ServiceEndpoint) -> Void) async throws {
    try catalogue.create()
    let socket = try ListeningSocket(endpoint)
    let pool = try BlockingPool(threads: Self.threads, maximumWaiting: Self.maximumWaiting)
    defer { pool.stop() }
    let images = ServedImages(catalogue: catalogue, pool: pool, open: open)
    let log = ServiceLog(of: catalogue, to: logger)
    let cleaning = Task {
      repeat {
        // A pool that is full now is not at the next time.
        try? await pool.run {
          images.dropUnused()
          log.look()
        }
      } while (try? await Task.sleep(for: Self.cleaningInterval)) != nil
    }
    defer { cleaning.cancel() }
    let calls = ImageServiceCalls(
      catalogue: catalogue, host: host, images: images, pool: pool, loops: Self.loops, log: log)
    let transport = HTTP2ServerTransport.Posix(
      listeningSocketDescriptor: Int(socket.descriptor), transportSecurity: .plaintext,
      config: .defaults {
        $0.rpc.maxRequestPayloadSize = WireLimit.messageLength
        $0.http2.maxConcurrentStreams = Self.maximumStreams
        // A backup host that is gone without a word is found out.
        $0.connection.keepalive.time = Self.keepAlive
        // A question must not wait for others to share its packet, but its own answer leaves
        // in one.
        $0.connection.flushCoalescing = nil
        $0.channelDebuggingCallbacks.onAcceptTCPConnection = { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(AnswerCoalescing(), position: .first)
          }
        }
      }, eventLoopGroup: Self.loops)
    let server = GRPCServer(transport: transport, services: [calls])
    let serving = Task { try await server.serve() }
    let isStopping = state.withLock { state in
      state.server = server
      state.serving = serving
      return state.isStopping
    }
    defer { socket.removeFile() }
    if case .loopback = socket.endpoint {
      logger.warning(
        """
        every user of this host can read every image over \(socket.endpoint), as nothing \
        authenticates them there yet
        """)
    }
    if isStopping { server.beginGracefulShutdown() }
    // The socket listens already: who connects before the transport runs only waits.
    ready(socket.endpoint)
    do { try await serving.value } catch {
      // Stopped before it began, or broken off at the end of the grace time.
      guard state.withLock({ $0.isStopping }) else { throw error }
    }
  }

  /// Stops serving: no new calls, those in flight may finish for a while.
  public func shutDown() {
    let (server, serving) = state.withLock { state in
      state.isStopping = true
      return (state.server, state.serving)
    }
    server?.beginGracefulShutdown()
    guard let serving else { return }
    Task.detached {
      try await Task.sleep(for: Self.graceTime)
      serving.cancel()
    }
  }

  /// Stops serving on SIGTERM and SIGINT.
  public func shutDownOnSignals() {
    for number in [SIGTERM, SIGINT] {
      signal(number, SIG_IGN)
      let watch = SignalWatch(number) { [weak self] in self?.shutDown() }
      state.withLock { $0.signals.append(watch) }
    }
  }
}

/// Calls back when the process gets a signal, for as long as it lives.
private final class SignalWatch: @unchecked Sendable {
  // Unchecked: set up before anybody shares it, and only kept after that.
  private let source: any DispatchSourceSignal

  init(_ number: Int32, _ body: @escaping @Sendable () -> Void) {
    source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler(handler: body)
    source.resume()
  }

  deinit { source.cancel() }
}
