import FloeWire
public import FrozenImage
import GRPCCore
import Glibc
public import HostSystem
public import ImageAccess
public import Jobs
import SwiftProtobuf

/// A production host's line to the agent of a backup host, which carries the production host's
/// own service there. Calls block.
public final class AgentConnection: Sendable {
  /// Where an agent listens unless said otherwise.
  public static let defaultSocket = "/run/floe/agent/agent.sock"

  private let connection: ServiceConnection
  /// The socket of the production host's service, as this host knows it.
  private let service: String

  /// Connects.
  ///
  /// - Parameters:
  ///   - endpoint: where the agent listens.
  ///   - service: the socket of this host's `floe serve`: an absolute path.
  /// - Throws: `Failure` when nothing connects there.
  public init(to endpoint: ServiceEndpoint, service: String) throws(Failure) {
    self.service = service
    do throws(ServiceError) {
      var brought: BroughtSocket?
      if case .ssh(let agent) = endpoint {
        brought = BroughtSocket(
          socket: service, directory: Self.incoming(ofAgentAt: agent.socket),
          name: String("\(UniqueIdentifier.random())".prefix(13)))
      }
      connection = try ServiceConnection(to: endpoint, bringing: brought)
    } catch {
      throw Self.failure(error)
    }
  }

  /// The directory, beside an agent's socket, into which production hosts bring theirs.
  public static func incoming(ofAgentAt socket: String) -> String {
    "\(socket.lastIndex(of: "/").map { String(socket[..<$0]) } ?? "")/in"
  }

  /// Ends the line, and its ssh.
  public func close() { connection.close() }

  /// Where the agent finds the service at present.
  private var serviceSocket: String { connection.broughtPath ?? service }

  /// The jobs that can be asked for, in the order of their names.
  ///
  /// - Throws: `Failure` when no agent answers.
  public func jobs() throws(Failure) -> [KnownJob] {
    try call(timeout: .seconds(20)) { calls, options in
      try await calls.listJobs(Floe_V1_ListJobsRequest(), options: options).jobs.map {
        KnownJob(name: $0.name, timeout: $0.timeoutSeconds)
      }
    }
  }

  /// Puts a run into the agent's queue.
  ///
  /// - Parameters:
  ///   - run: chosen by the caller; asking twice is the same as once.
  ///   - host: this host's name.
  /// - Throws: `Failure` when no agent answers, or it refuses.
  public func run(
    _ run: UniqueIdentifier, job: String, host: String, images: [RunImage]
  ) throws(Failure) {
    let request = Floe_V1_RunJobRequest.with {
      $0.run = run.wire
      $0.job = job
      $0.host = host
      $0.images = images.map { image in
        .with {
          $0.image = image.id.wire
          $0.label = image.label
        }
      }
      $0.serviceSocket = serviceSocket
    }
    try call(timeout: .seconds(20)) { calls, options in
      _ = try await calls.runJob(request, options: options)
    }
  }

  /// Follows a run until it ends, the line breaks, or the time is over.
  ///
  /// - Parameters:
  ///   - line: the first line of its log that is wanted.
  ///   - limit: how long; a run may well last longer.
  ///   - take: gets what is new, on another thread; now and then nothing, of a run at work.
  /// - Throws: `Failure`: `.unreachable` when the line broke or the time is over: follow it
  ///   again.
  public func follow(
    _ run: UniqueIdentifier, from line: UInt64, for limit: Duration,
    take: @escaping @Sendable (RunNews) -> Void
  ) throws(Failure) {
    let request = Floe_V1_FollowRunRequest.with {
      $0.run = run.wire
      $0.nextLine = line
      $0.serviceSocket = serviceSocket
    }
    try call(timeout: limit) { calls, options in
      try await calls.followRun(request, options: options) { response in
        for try await message in response.messages { take(try RunNews(wire: message)) }
      }
    }
  }

  /// Ends a run.
  ///
  /// - Throws: `Failure` when no agent answers.
  public func cancel(_ run: UniqueIdentifier) throws(Failure) {
    try call(timeout: .seconds(10)) { calls, options in
      _ = try await calls.cancelRun(.with { $0.run = run.wire }, options: options)
    }
  }

  private typealias Calls = Floe_V1_AgentService.Client<ServiceConnection.Transport>

  private func call<Result: Sendable>(
    timeout: Duration,
    _ body: @escaping @Sendable (Calls, CallOptions) async throws -> Result
  ) throws(Failure) -> Result {
    do throws(ServiceError) {
      return try connection.perform(timeout: timeout) {
        try await body(Calls(wrapping: $0), $1)
      }
    } catch {
      throw Self.failure(error)
    }
  }

  private static func failure(_ error: ServiceError) -> Failure {
    switch error {
    case .unreachable(let endpoint, let reason):
      Failure(
        .unreachable,
        "no agent answers at \(endpoint): \(reason) (is “floe agent” running there?)")
    case .refused(let reason): Failure(.failed, "the agent refuses: \(reason)")
    case .thawed(let reason): Failure(.notFound, "the agent refuses: \(reason)")
    case .corrupt(let reason): Failure(.malformed, "what the agent sent makes no sense: \(reason)")
    default: Failure(error)
    }
  }
}

/// A job of an agent.
public struct KnownJob: Hashable, Sendable {
  /// As it is asked for.
  public let name: String
  /// Seconds that it may take over an image; 0 when the agent does not tell.
  public let timeout: UInt32
}

/// What is new of a run.
public struct RunNews: Sendable {
  /// How far it is.
  public let state: RunRecord.State
  /// The number of the first of `lines`.
  public let firstLine: UInt64
  /// Lines of its log.
  public let lines: [String]
  /// What became of each image so far, in the order of the request.
  public let images: [Image]
  /// Once it is over.
  public let exitStatus: Int32?
  /// Why it failed; empty otherwise.
  public let reason: String

  /// What became of an image so far.
  public struct Image: Sendable {
    /// What the job knows it by.
    public let label: String
    /// Of the job, once it has ended over this image.
    public let exitStatus: Int32?
    /// Why it failed; empty otherwise.
    public let reason: String
    /// What its mount counted.
    public let counts: ReadCounts
    /// How often the job was started.
    public let attempts: UInt32
  }
}

extension RunNews {
  fileprivate init(wire: Floe_V1_RunNews) throws(WireError) {
    guard let state = RunRecord.State(wire: wire.state) else {
      throw WireError("a run is in a state that this floe does not know")
    }
    self.state = state
    firstLine = wire.firstLine
    lines = wire.lines
    images = wire.images.map { image in
      var counts = ReadCounts()
      counts.reads = image.reads
      counts.failed = image.failedReads
      counts.storageBytes = image.storageBytes
      counts.productionHostBytes = image.productionHostBytes
      counts.representationBytes = image.representationBytes
      counts.remaps = image.remaps
      counts.discarded = image.discardedReads
      return Image(
        label: image.label, exitStatus: image.hasExitStatus ? image.exitStatus : nil,
        reason: image.reason, counts: counts, attempts: image.attempts)
    }
    exitStatus = wire.hasExitStatus ? wire.exitStatus : nil
    reason = wire.reason
  }
}
