import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc
public import ImageAccess
public import Jobs
public import Logging
import NIOCore
import NIOPosix
import Synchronization

/// The backup host's agent on a Unix socket: runs jobs for production hosts.
///
/// Only root and the agent's own user are answered, whatever the socket's mode: the kernel says
/// who connected (unix(7), SO_PEERCRED).
public final class AgentServer: Sendable {
  private static let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  private let runner: JobRunner
  private let jobs: [Job]
  private let heartbeat: Duration
  private let logger: Logger
  private let server = Mutex<GRPCServer<HTTP2ServerTransport.Posix>?>(nil)

  /// - Parameters:
  ///   - jobs: those that production hosts are told of.
  ///   - heartbeat: who follows a run is told so often that it goes on, also when nothing is new.
  public init(
    _ runner: JobRunner, jobs: [Job], heartbeat: Duration = .seconds(30), logger: Logger
  ) {
    self.runner = runner
    self.jobs = jobs.sorted { $0.name < $1.name }
    self.heartbeat = heartbeat
    self.logger = logger
  }

  /// Serves until `shutDown`; removes the socket's file at the end.
  ///
  /// - Parameter ready: called once the agent answers.
  /// - Throws: `ListenError`, `Errno` when the system has no threads.
  public func run(listen endpoint: ServiceEndpoint, ready: () -> Void) async throws {
    let socket = try ListeningSocket(endpoint)
    let pool = try BlockingPool(threads: 4, maximumWaiting: 1024)
    defer { pool.stop() }
    let transport = HTTP2ServerTransport.Posix(
      listeningSocketDescriptor: Int(socket.descriptor), transportSecurity: .plaintext,
      config: .defaults { [logger] in
        $0.rpc.maxRequestPayloadSize = 1 << 20
        $0.connection.keepalive.time = .seconds(60)
        $0.channelDebuggingCallbacks.onAcceptTCPConnection = { channel in
          Self.admit(channel, logger: logger)
        }
      }, eventLoopGroup: Self.loops)
    let server = GRPCServer(
      transport: transport,
      services: [
        AgentCalls(runner: runner, jobs: jobs, heartbeat: heartbeat, pool: pool, logger: logger)
      ])
    self.server.withLock { $0 = server }
    defer { socket.removeFile() }
    ready()
    try await server.serve()
  }

  /// Ends serving; what is followed ends with the process.
  public func shutDown() { server.withLock { $0 }?.beginGracefulShutdown() }

  /// Closes the connection of a user who may not ask.
  private static func admit(_ channel: any Channel, logger: Logger) -> EventLoopFuture<Void> {
    guard let options = channel as? any SocketOptionProvider else {
      return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }
    let asked: EventLoopFuture<PeerCredentials> = options.unsafeGetSocketOption(
      level: .init(rawValue: CInt(SOL_SOCKET)), name: .init(rawValue: CInt(SO_PEERCRED)))
    return asked.flatMapThrowing { peer in
      guard peer.user == 0 || peer.user == geteuid() else {
        logger.warning("the user \(peer.user) may not ask for jobs (process \(peer.process))")
        throw ChannelError.ioOnClosedChannel
      }
    }.flatMapErrorThrowing { error in
      channel.close(promise: nil)
      throw error
    }
  }
}

/// As the kernel gives them (unix(7), struct ucred).
private struct PeerCredentials {
  var process: Int32 = 0
  var user: UInt32 = 0
  var group: UInt32 = 0
}
