import FloeWire
import FrozenImage
import GRPCCore
import HostSystem
import Jobs
import Logging
import SwiftProtobuf

/// The calls of `floe.v1.AgentService`.
struct AgentCalls: Floe_V1_AgentService.SimpleServiceProtocol {
  /// Between two looks for what is new of a run.
  private static let interval = Duration.milliseconds(200)
  /// Lines in one message, and bytes of each at the most.
  private static let linesInMessage = 100

  let runner: JobRunner
  let jobs: [Job]
  /// Between two messages about a run at the most.
  let heartbeat: Duration
  let pool: BlockingPool
  let logger: Logger

  private func blocking<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    do { return try await pool.run(body) } catch let error as Failure {
      let code: RPCError.Code =
        switch error.code {
        case .invalid, .notFound: .invalidArgument
        case .noRoom: .resourceExhausted
        default: .internalError
        }
      throw RPCError(answer: code, "\(error)")
    } catch {
      throw RPCError(answering: error)
    }
  }

  func listJobs(
    request: Floe_V1_ListJobsRequest, context: ServerContext
  ) async throws -> Floe_V1_ListJobsResponse {
    .with {
      $0.jobs = jobs.map { job in
        .with {
          $0.name = job.name
          $0.timeoutSeconds = job.timeout
        }
      }
    }
  }

  func runJob(
    request: Floe_V1_RunJobRequest, context: ServerContext
  ) async throws -> Floe_V1_RunJobResponse {
    try await blocking { [runner, logger] in
      let images = try request.images.prefix(RunRequest.maximumImages + 1).map { image in
        RunImage(
          id: try UniqueIdentifier(wire: image.image, "the image"), label: image.label)
      }
      let run = try RunRequest(
        id: try UniqueIdentifier(wire: request.run, "the run"), job: request.job,
        host: request.host, images: images, socket: request.serviceSocket)
      try runner.submit(run)
      logger.notice(
        "\(run.host) asked for the job \(run.job) over \(images.map(\.label).joined(separator: ", "))",
        metadata: ["run": "\(run.id)"])
    }
    return Floe_V1_RunJobResponse()
  }

  func followRun(
    request: Floe_V1_FollowRunRequest, response: RPCWriter<Floe_V1_RunNews>,
    context: ServerContext
  ) async throws {
    let id = try await blocking { try UniqueIdentifier(wire: request.run, "the run") }
    if !request.serviceSocket.isEmpty {
      try await blocking { [runner] in try runner.follow(id, socket: request.serviceSocket) }
    }
    var line = request.nextLine
    var told: RunRecord?
    var spoken = ContinuousClock.now
    while true {
      let next = line
      guard let news = try await blocking({ [runner] in runner.news(of: id, from: next) }) else {
        throw RPCError(answer: .invalidArgument, "there is no run \(id)")
      }
      var rest = news.lines[...]
      var first = news.firstLine
      while !rest.isEmpty || told != news.record || ContinuousClock.now - spoken >= heartbeat {
        let lines = Array(rest.prefix(Self.linesInMessage))
        rest = rest.dropFirst(lines.count)
        try await response.write(
          Floe_V1_RunNews(news.record, lines: lines, from: first, endsLater: !rest.isEmpty))
        first += UInt64(lines.count)
        told = news.record
        spoken = .now
      }
      line = max(line, first)
      if news.record.isOver { return }
      try await Task.sleep(for: Self.interval)
    }
  }

  func cancelRun(
    request: Floe_V1_CancelRunRequest, context: ServerContext
  ) async throws -> Floe_V1_CancelRunResponse {
    try await blocking { [runner] in
      runner.cancel(try UniqueIdentifier(wire: request.run, "the run"))
    }
    return Floe_V1_CancelRunResponse()
  }
}

extension Floe_V1_RunNews {
  /// - Parameter endsLater: whether more lines follow, so that the run does not count as over.
  fileprivate init(_ record: RunRecord, lines: [String], from first: UInt64, endsLater: Bool) {
    self.init()
    state = endsLater && record.isOver ? .running : .init(record.state)
    firstLine = first
    self.lines = lines
    images = record.images.map { image in
      .with {
        $0.label = image.label
        if let status = image.exitStatus { $0.exitStatus = status }
        $0.reason = image.reason ?? ""
        $0.reads = image.counts.reads
        $0.storageBytes = image.counts.storageBytes
        $0.productionHostBytes = image.counts.productionHostBytes
        $0.representationBytes = image.counts.representationBytes
        $0.remaps = image.counts.remaps
        $0.discardedReads = image.counts.discarded
        $0.failedReads = image.counts.failed
        $0.attempts = image.attempts
      }
    }
    if let status = record.exitStatus { exitStatus = status }
    reason = record.reason ?? ""
  }
}

extension Floe_V1_RunNews.State {
  init(_ state: RunRecord.State) {
    self =
      switch state {
      case .waiting: .waiting
      case .running: .running
      case .succeeded: .succeeded
      case .failed: .failed
      case .cancelled: .cancelled
      case .lost: .lost
      }
  }
}

extension RunRecord.State {
  /// `nil` for one of a later version.
  init?(wire: Floe_V1_RunNews.State) {
    switch wire {
    case .waiting: self = .waiting
    case .running: self = .running
    case .succeeded: self = .succeeded
    case .failed: self = .failed
    case .cancelled: self = .cancelled
    case .lost: self = .lost
    case .unspecified, .UNRECOGNIZED: return nil
    }
  }
}
