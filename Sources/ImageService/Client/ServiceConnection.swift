import FloeWire
import FoundationEssentials
import FrozenImage
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import HostSystem
public import ImageAccess
import SwiftProtobuf
import Synchronization

/// A backup host's line to a service. It connects again by itself when the service comes
/// back, also under a new Unix socket of the same name.
///
/// Calls block the thread that makes them, which must not be one of Swift's cooperative
/// pool; they run as tasks there.
public final class ServiceConnection: Sendable {
  typealias Transport = HTTP2ClientTransport.Posix
  typealias Calls = Floe_V1_ImageService.Client<Transport>

  /// Nanoseconds that a call may take over its deadline, before the waiting thread gives up.
  private static let slack: UInt64 = 5_000_000_000

  /// Where the service listens, as it was named.
  public let endpoint: ServiceEndpoint
  private let client: GRPCClient<Transport>
  private let running: Task<Void, any Error>
  /// Keeps the way to a socket open whose path the transport cannot name.
  private let way: SocketDirectory?
  /// Carries the socket of another host here.
  private let tunnel: SSHTunnel?
  /// How the service's clock went when it was greeted.
  private let clock = Mutex<ClockDifference?>(nil)
  /// The state directory that the service served when it was greeted.
  private let stateDirectory = Mutex<UniqueIdentifier?>(nil)

  /// - Parameter brought: a socket of this host that ssh carries there as well.
  init(to endpoint: ServiceEndpoint, bringing brought: BroughtSocket? = nil) throws(ServiceError) {
    self.endpoint = endpoint
    way = try SocketDirectory(for: endpoint)
    let tunnel: SSHTunnel? =
      if case .ssh(let service) = endpoint {
        try SSHTunnel(to: service, bringing: brought)
      } else {
        nil
      }
    self.tunnel = tunnel
    let target: any ResolvableTarget =
      switch endpoint {
      case .ssh: .unixDomainSocket(path: tunnel?.path ?? "", authority: "localhost")
      case .unix(let path): .unixDomainSocket(path: way?.path ?? path, authority: "localhost")
      case .loopback(.v4(let host), let port): .ipv4(address: host, port: Int(port))
      case .loopback(.v6(let host), let port): .ipv6(address: host, port: Int(port))
      }
    let config = Transport.Config.defaults {
      // A restarted service is to be found soon, and a try costs next to nothing.
      $0.backoff = .init(initial: .milliseconds(100), max: .seconds(1), multiplier: 2, jitter: 0.2)
      $0.http2.maxFrameSize = 1 << 20
      $0.connection.flushCoalescing = nil
    }
    do {
      client = GRPCClient(
        transport: try Transport(target: target, transportSecurity: .plaintext, config: config))
    } catch {
      tunnel?.close()
      throw .unreachable(endpoint, reason: "\(error)")
    }
    running = Task.detached { [client] in try await client.runConnections() }
  }

  deinit { close() }

  /// Connects and settles the protocol version. Blocks.
  ///
  /// - Throws: `ServiceError.unreachable` when no service answers, `.incompatible`.
  public static func connect(
    to endpoint: ServiceEndpoint, timeout: Duration = .seconds(10)
  ) throws(ServiceError) -> (connection: ServiceConnection, host: String) {
    try connect(to: endpoint, timeout: timeout, versions: WireProtocol.versions)
  }

  static func connect(
    to endpoint: ServiceEndpoint, timeout: Duration, versions: ClosedRange<UInt32>
  ) throws(ServiceError) -> (connection: ServiceConnection, host: String) {
    let connection = try ServiceConnection(to: endpoint)
    let greeting = Floe_V1_HelloRequest.with {
      $0.minimumVersion = versions.lowerBound
      $0.maximumVersion = versions.upperBound
      $0.capabilities = WireProtocol.capabilities.sorted()
    }
    let begin = (MonotonicClock.now(), Timestamp.now)
    let answer: Floe_V1_HelloResponse
    do throws(ServiceError) {
      answer = try connection.call(timeout: timeout) { try await $0.hello(greeting, options: $1) }
    } catch .thawed(let reason) {
      // FAILED_PRECONDITION to a greeting is about versions.
      throw .incompatible(endpoint, reason: reason)
    }
    guard versions.contains(answer.version) else {
      throw .incompatible(endpoint, reason: "it chose the protocol version \(answer.version)")
    }
    let missing = WireProtocol.capabilities.subtracting(answer.capabilities)
    guard missing.isEmpty else {
      throw .incompatible(
        endpoint, reason: "it is not able to do \(missing.sorted().joined(separator: ", "))")
    }
    let difference = ClockDifference(
      of: answer.clockMilliseconds, askedAt: begin.1,
      nanoseconds: MonotonicClock.now() &- begin.0)
    connection.clock.withLock { $0 = difference }
    do throws(WireError) {
      let identifier = try UniqueIdentifier(wire: answer.stateDirectory, "the state directory")
      connection.stateDirectory.withLock { $0 = identifier }
    } catch {
      throw .corrupt(error.description)
    }
    return (connection, answer.host)
  }

  /// How the production host's clock differs from this one's, as far as the greeting tells;
  /// `nil` from a service that does not tell.
  public var clockDifference: ClockDifference? { clock.withLock { $0 } }

  /// Ends the line; calls in flight fail.
  public func close() {
    client.beginGracefulShutdown()
    running.cancel()
    tunnel?.close()
  }

  /// The command of the program that becomes the ssh(1) of a line; its arguments are the number
  /// of the process that wants it, and ssh's own.
  public static let tunnelCommand = SSHTunnel.command

  /// The images that are frozen completely. Blocks.
  ///
  /// - Throws: `ServiceError` when no answer came in time, or one that makes no sense.
  public func images(timeout: Duration = .seconds(10)) throws(ServiceError) -> [ImageSummary] {
    try call(timeout: timeout) { calls, options in
      try await calls.listImages(Floe_V1_ListImagesRequest(), options: options) { response in
        var images: [ImageSummary] = []
        for try await message in response.messages {
          guard images.count < 65_536 else { throw WireError("the list of images has no end") }
          images.append(try ImageSummary(wire: message))
        }
        return images
      }
    }
  }

  /// Where the socket that ssh carries is found on the other host; `nil` without one.
  var broughtPath: String? { tunnel?.broughtPath }

  // MARK: - Calls

  /// Makes a call from a thread that may block.
  ///
  /// A service that is away is reported at once (`waitForReady` is off), one that does
  /// not answer after `timeout`.
  func call<Result: Sendable>(
    timeout: Duration,
    _ body: @escaping @Sendable (Calls, CallOptions) async throws -> Result
  ) throws(ServiceError) -> Result {
    try perform(timeout: timeout) { try await body(Calls(wrapping: $0), $1) }
  }

  /// Makes a call of any service from a thread that may block.
  func perform<Result: Sendable>(
    timeout: Duration,
    _ body: @escaping @Sendable (GRPCClient<Transport>, CallOptions) async throws -> Result
  ) throws(ServiceError) -> Result {
    let outcome = Monitor<Swift.Result<Result, ServiceError>?>(nil)
    let task = Task.detached { [self] in
      let result = await self.outcome(timeout: timeout, body)
      outcome.withLock { $0 = result }
      outcome.notifyAll()
    }
    let limit = MonotonicClock.now() &+ timeout.nanoseconds &+ Self.slack
    let result: Swift.Result<Result, ServiceError>? = outcome.wait { found in
      if let found { return .done(found) }
      return MonotonicClock.now() >= limit ? .done(nil) : .waitUntil(limit)
    }
    guard let result else {
      task.cancel()
      throw .unreachable(endpoint, reason: "it did not answer in time")
    }
    return try result.get()
  }

  /// Makes a call from a task.
  func result<Result: Sendable>(
    timeout: Duration, _ body: @Sendable (Calls, CallOptions) async throws -> Result
  ) async -> Swift.Result<Result, ServiceError> {
    await outcome(timeout: timeout) { try await body(Calls(wrapping: $0), $1) }
  }

  private func outcome<Result: Sendable>(
    timeout: Duration,
    _ body: @Sendable (GRPCClient<Transport>, CallOptions) async throws -> Result
  ) async -> Swift.Result<Result, ServiceError> {
    var options = CallOptions.defaults
    options.timeout = timeout
    options.waitForReady = false
    options.maxResponseMessageBytes = WireLimit.messageLength
    do {
      return .success(try await body(client, options))
    } catch {
      let found = ServiceError(error, at: endpoint, of: stateDirectory.withLock { $0 })
      guard case .unreachable = found, let said = tunnel?.problem else { return .failure(found) }
      return .failure(.unreachable(endpoint, reason: said))
    }
  }
}

extension Duration {
  /// Whole nanoseconds; a negative duration is 0, one too long for 64 bits the longest.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
    // Half the range, so that a sum with a time of the clock does not wrap.
    return overflow || carry ? .max / 2 : min(sum, .max / 2)
  }
}
