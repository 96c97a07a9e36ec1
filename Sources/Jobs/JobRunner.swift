public import FrozenImage
import Glibc
public import HostSystem
public import SystemPackage

/// Runs the jobs that production hosts ask for: a queue, threads that take from it, and what each
/// run says meanwhile.
public final class JobRunner: Sendable {
  /// A program and its arguments, with which a job's own command is started.
  public typealias Launch =
    @Sendable (Job, _ command: [String], _ run: String, _ directory: String)
    -> (program: String, words: [String])

  /// What is new of a run.
  public struct News: Sendable {
    /// The run as it is now.
    public let record: RunRecord
    /// The number of the first of `lines`.
    public let firstLine: UInt64
    /// Lines of its log.
    public let lines: [String]
  }

  /// Runs that are over and can still be followed.
  private static let maximumOver = 200
  /// Of these, the ones whose whole log is kept: who follows may have to connect anew.
  private static let maximumWhole = 8

  struct Run {
    let request: RunRequest
    let job: Job
    var record: RunRecord
    var log = RunLog()
    var isCancelled = false
  }

  private struct State {
    var queue: RunQueue
    var runs: [UniqueIdentifier: Run] = [:]
    /// Those that are over, the oldest first.
    var over: [UniqueIdentifier] = []
    var isStopping = false
  }

  let configuration: AgentConfiguration
  let mounter: any ImageMounter
  let launch: Launch
  private let history: RunHistory
  private let incoming: String
  private let state: Monitor<State>

  /// - Parameters:
  ///   - incoming: the directory into which production hosts bring their sockets.
  ///   - launch: wraps a command, so that it runs with the job's rights and ends with the agent.
  public init(
    _ configuration: AgentConfiguration, history: RunHistory, mounter: any ImageMounter,
    incoming: String, launch: @escaping Launch
  ) {
    self.configuration = configuration
    self.history = history
    self.mounter = mounter
    self.incoming = incoming
    self.launch = launch
    state = Monitor(
      State(
        queue: RunQueue(
          atOnce: configuration.atOnce, maximumWaiting: configuration.waiting)))
  }

  /// Reports what an agent that ended in the middle left as lost, and removes it: the job's
  /// processes, the mounts, the links.
  ///
  /// - Returns: the runs that were lost.
  /// - Throws: `Failure` when the history cannot be read or written.
  public func recover() throws(Failure) -> [RunRecord] {
    try history.create()
    var lost: [RunRecord] = []
    for var run in try history.runs() where !run.isOver {
      RunProcesses.kill(run: run.id)
      ServiceLink(of: run.id, in: incoming).remove()
      run.state = .lost
      run.reason = "the agent ended before the job did"
      run.ended = Timestamp.now.seconds
      try history.keep(run)
      lost.append(run)
    }
    for mount in mounter.mounts(below: configuration.mounts).reversed() {
      try mounter.unmount(mount)
      rmdir(mount)
    }
    try history.forgetOldest()
    return lost
  }

  /// Starts the threads that run jobs.
  ///
  /// - Throws: `EAGAIN` when the system has no thread left.
  public func start() throws(Errno) {
    for _ in 0..<configuration.atOnce {
      try Thread.detach { [self] in
        while let id = nextRun() {
          run(id)
          settle(id)
        }
      }
    }
  }

  /// Ends all runs, and waits for that.
  public func stop() {
    state.withLock { state in
      state.isStopping = true
      for id in Array(state.runs.keys) { state.runs[id]?.isCancelled = true }
    }
    state.notifyAll()
    state.wait { $0.queue.running.isEmpty ? .done(()) : .wait }
    let waiting = state.withLock { $0.queue.waiting.map(\.id) }
    for id in waiting { settle(id) }
  }

  /// Puts a run into the queue; one that is known is left as it is.
  ///
  /// - Throws: `Failure`: `.notFound` when there is no such job, `.noRoom` when the queue is full.
  public func submit(_ request: RunRequest) throws(Failure) {
    guard let job = configuration.jobs[request.job] else {
      throw Failure(
        .notFound, "the agent's configuration has no job “\(request.job.prefix(64))”")
    }
    let run = Run(
      request: request, job: job, record: RunRecord(request, asked: Timestamp.now.seconds))
    let entry = RunQueue.Entry(
      id: request.id, job: job.name, limit: job.atOnce, host: request.host, user: job.user,
      places: job.isTogether ? nil : Set(request.images.map(\.label)))
    // Also one of an agent before this one, or of long ago: it must not run twice.
    guard history.run(request.id) == nil else { return }
    let isNew: Bool = state.withLock { state in
      guard state.runs[request.id] == nil else { return false }
      state.runs[request.id] = run
      return true
    }
    guard isNew else { return }
    // A thread may take it the moment that it is in the queue.
    do throws(Failure) {
      try history.keep(run.record)
      try link(request.id).lead(to: request.socket)
    } catch {
      settle(request.id)
      throw error
    }
    guard state.withLock({ !$0.isStopping && $0.queue.add(entry) }) else {
      settle(request.id)
      throw Failure(.noRoom, "\(configuration.waiting) runs wait already; ask again later")
    }
    state.notifyAll()
  }

  /// What is new of a run; `nil` when it is not known.
  ///
  /// - Parameter line: the first line of its log that is wanted, counted from 0.
  public func news(of id: UniqueIdentifier, from line: UInt64) -> News? {
    let found: News? = state.withLock { state in
      guard let run = state.runs[id] else { return nil }
      let (first, lines) = run.log.lines(from: line)
      return News(record: run.record, firstLine: first, lines: lines)
    }
    return found ?? history.run(id).map { News(record: $0, firstLine: line, lines: []) }
  }

  /// The production host's service is found at another socket from now on.
  ///
  /// - Throws: `Failure` when the run is over or not known, or the link cannot be made.
  public func follow(_ id: UniqueIdentifier, socket: String) throws(Failure) {
    guard state.withLock({ $0.runs[id].map { !$0.record.isOver } ?? false }) else { return }
    guard socket.hasPrefix("/"), socket.utf8.count <= 103 else {
      throw Failure(.invalid, "“\(socket)” is not the absolute path of a socket")
    }
    try link(id).lead(to: socket)
  }

  /// Ends a run; one that is over or not known stays as it is.
  public func cancel(_ id: UniqueIdentifier) {
    let isWaiting: Bool = state.withLock { state in
      state.runs[id]?.isCancelled = true
      return state.queue.waiting.contains { $0.id == id }
    }
    if isWaiting { settle(id) }
  }

  // MARK: - For a run

  func link(_ id: UniqueIdentifier) -> ServiceLink {
    ServiceLink(of: id.description, in: incoming)
  }

  /// Where an image is mounted: the same every night.
  func place(of image: RunImage, _ request: RunRequest) -> String {
    "\(directory(of: request))/\(image.label)"
  }

  /// Where the images of a host are mounted.
  func directory(of request: RunRequest) -> String { "\(configuration.mounts)/\(request.host)" }

  func run(of id: UniqueIdentifier) -> Run? { state.withLock { $0.runs[id] } }

  /// Whether nothing of a run is left but its record.
  func isSettled(_ id: UniqueIdentifier) -> Bool { state.withLock { $0.over.contains(id) } }

  func isCancelled(_ id: UniqueIdentifier) -> Bool {
    state.withLock { $0.runs[id]?.isCancelled ?? true }
  }

  /// Changes what is known of a run, and keeps it.
  func update(_ id: UniqueIdentifier, keeps: Bool = true, _ body: (inout RunRecord) -> Void) {
    let record: RunRecord? = state.withLock { state in
      guard var run = state.runs.removeValue(forKey: id) else { return nil }
      body(&run.record)
      state.runs[id] = run
      return run.record
    }
    // A history that cannot be written must not end a backup; the next step tries again.
    if keeps, let record { try? history.keep(record) }
  }

  func say(_ line: String, of id: UniqueIdentifier) {
    state.withLock { state in
      guard var run = state.runs.removeValue(forKey: id) else { return }
      run.log.append(line)
      state.runs[id] = run
    }
  }

  private func nextRun() -> UniqueIdentifier? {
    state.wait { state in
      if state.isStopping { return .done(nil) }
      return state.queue.next().map { .done($0.id) } ?? .wait
    }
  }

  /// Notes that a run is over, and forgets older ones.
  private func settle(_ id: UniqueIdentifier) {
    link(id).remove()
    update(id) { record in
      if !record.isOver { record.state = .cancelled }
      if record.ended == nil { record.ended = Timestamp.now.seconds }
    }
    // An agent may run for years.
    try? history.forgetOldest(isExact: false)
    state.withLock { state in
      state.queue.remove(id)
      state.over.append(id)
      if let older = state.over.dropLast(Self.maximumWhole).last {
        state.runs[older]?.log.shrink(toLines: 500, bytes: 65_536)
      }
      if state.over.count > Self.maximumOver {
        state.runs[state.over.removeFirst()] = nil
      }
    }
    state.notifyAll()
  }
}
