import Catalogue
import DataSets
import Freezing
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageService
import Jobs
import SystemPackage

/// One backup: freeze, have the job run, thaw.
struct BackupRun {
  /// What is frozen.
  struct Part {
    let path: String
    let label: String
  }

  /// What applications are told.
  struct Hooks {
    let before: String?
    let behind: String?
    /// Seconds.
    let limit: UInt32
  }

  let catalogue: Catalogue
  let job: String
  let destination: String
  /// Seconds.
  let lease: UInt32
  var keepsImages = false

  init(catalogue: Catalogue, job: String, destination: String, lease: UInt32) {
    self.catalogue = catalogue
    self.job = job
    self.destination = destination
    self.lease = lease
  }

  private var socket: String {
    HostPath.absolute(catalogue.directory.appending("floe.sock").string)
  }

  /// - Throws: `Failure` and others when the job was never asked for; nothing is frozen then.
  func run(_ parts: [Part], _ hooks: Hooks, to endpoint: ServiceEndpoint) throws -> BackupReport {
    let began = Timestamp.now.seconds
    let host = try Self.hostName(HostName.current)
    try catalogue.thawExpired(release: Providers.all.release) { image, problem in
      printError(
        "floe: note: \(image), whose backup is gone, "
          + (problem.map { "cannot be thawed: \($0)" } ?? "is thawed"))
    }
    // What can be wrong is found out before anything rests.
    let service = try ServiceConnection.connect(to: try ServiceEndpoint(socketPath: socket))
    service.connection.close()
    let agent = try AgentConnection(to: endpoint, service: socket)
    defer { agent.close() }
    let known = try agent.jobs()
    guard let wanted = known.first(where: { $0.name == job }) else {
      let names = known.map(\.name).joined(separator: ", ")
      throw Failure(.notFound, "the agent of \(destination) has no job “\(job)”, but \(names)")
    }
    Interruption.listen(
      lastWords:
        "floe: ended at once; floe images shows what is left, and floe serve thaws it when its lease is over\n"
    )
    let seconds = Self.leaseTime(asked: lease, timeout: wanted.timeout, images: parts.count)
    let keeper = try LeaseKeeper(
      Lease(seconds: seconds, holder: "floe backup, process \(getpid())"),
      keep: { [catalogue] in try catalogue.keep($0, on: $1) })
    defer { keeper.stop() }
    let (frozen, quiet) = try freeze(parts, hooks, keeper)
    let images = zip(frozen, parts).map { result, part in
      BackupReport.Image(result, name: part.label, source: HostPath.absolute(part.path))
    }
    var report = BackupReport(
      run: "\(UniqueIdentifier.random())", job: job, to: destination, state: "failed",
      exit_status: 1, began_seconds: began, ended_seconds: began,
      quiet_seconds: Double(quiet.nanoseconds / 1_000_000) / 1000, hook_problem: quiet.problem,
      images: images)
    let follower = RunFollower(agent: agent, job: job, host: host)
    let end = follower.run(zip(frozen, parts).map { RunImage(id: $0.id, label: $1.label) })
    report.run = "\(follower.run)"
    take(end, into: &report)
    keeper.stop()
    settle(&report, isOver: end.isOver, lease: seconds)
    report.ended_seconds = Timestamp.now.seconds
    return report
  }

  /// Seconds for which the images live when this command is gone: a job that goes on must not lose
  /// them, and takes them one after the other.
  static func leaseTime(asked: UInt32, timeout: UInt32, images: Int) -> UInt32 {
    max(asked, UInt32(clamping: UInt64(timeout) * UInt64(images)))
  }

  /// The name that the job knows this host by.
  ///
  /// - Throws: `Failure` when it cannot be one: hosts that share a name share a backup, too.
  static func hostName(_ name: String) throws(Failure) -> String {
    guard PathName.isValid(name) else {
      throw Failure(
        .invalid,
        "this host's name, “\(name)”, cannot be a part of a path on the backup host: give it one of "
          + "A-Z a-z 0-9 . _ - that begins with a letter or digit (hostnamectl set-hostname)")
    }
    return name
  }

  private func take(_ end: RunFollower.End, into report: inout BackupReport) {
    report.state = end.state.rawValue
    report.reason = end.reason
    report.exit_status = end.exitStatus
    // A copy that is whole, of applications that may rest still, is no success.
    if report.exit_status == 0, let problem = report.hook_problem {
      report.exit_status = EXIT_FAILURE
      report.reason = problem
    }
    for (index, image) in end.images.enumerated() where index < report.images.count {
      report.images[index].take(image)
    }
  }

  // MARK: - The freeze

  /// Freezes everything while applications rest, and describes it when they go on.
  private func freeze(
    _ parts: [Part], _ hooks: Hooks, _ keeper: LeaseKeeper
  ) throws -> ([FreezeResult], QuietPeriod.Outcome) {
    let night = Self.stamp(Timestamp.now.seconds)
    var watcher = FreezeWatcher()
    // Found before anything rests: this takes longest.
    let freezings = try parts.map { part in
      let source = HostPath.resolved(part.path) ?? part.path
      let dataSet: any DataSet
      do { dataSet = try Providers.all.find(part.path) } catch {
        throw Failure.about(
          part.path, alias: [source, String(part.path.prefix { $0 != ":" })], error)
      }
      for remark in dataSet.remarks { printError("floe: note: \(remark)") }
      let name = "\(part.label)-\(night)"
      let request = FreezeRequest(source: source, name: name, catalogue: catalogue)
      return (name, Freezing(dataSet, request) { watcher.take($0) })
    }
    var begun: [Freezing.Begun] = []
    var results: [FreezeResult] = []
    let outcome: QuietPeriod.Outcome
    do {
      let quiet = try QuietPeriod(before: hooks.before, behind: hooks.behind, limit: hooks.limit)
      var failure: (any Error)?
      do {
        for (name, freezing) in freezings {
          begun.append(try freezing.begin(as: name, reserved: keeper.add))
        }
      } catch {
        failure = error
      }
      outcome = quiet.end()
      // Now: applications that rest still cannot wait until the job has ended.
      if let problem = outcome.problem { printError("floe: warning: \(problem)") }
      if let failure { throw Self.failure(failure, outcome) }
      guard !outcome.wasForced else { throw Self.failure(nil, outcome, limit: hooks.limit) }
    } catch {
      for (index, part) in begun.enumerated() { freezings[index].1.giveUp(part) }
      throw error
    }
    do {
      for (index, part) in begun.enumerated() {
        results.append(try freezings[index].1.finish(part))
      }
    } catch {
      // The one that failed has taken itself back.
      for (index, part) in begun.enumerated() where index > results.count {
        freezings[index].1.giveUp(part)
      }
      thaw(results.map(\.name))
      throw Self.failure(error, outcome)
    }
    return (results, outcome)
  }

  /// Why nothing stays frozen, with what became of the applications.
  ///
  /// - Parameters:
  ///   - failure: that of the freeze, where it failed.
  ///   - limit: seconds of the quiet time.
  private static func failure(
    _ failure: (any Error)?, _ outcome: QuietPeriod.Outcome, limit: UInt32 = 0
  ) -> any Error {
    // Who interrupts was told by the warning.
    if let failure, failure is Interrupted || outcome.problem == nil { return failure }
    let behind = outcome.problem.map { "; and \($0)" } ?? ""
    if let failure {
      return Failure(code: ErrorCode(of: failure), sentence: "\(failure)\(behind)", cause: nil)
    }
    if outcome.isGuardGone {
      return Failure(
        .failed, "nobody knows whether the applications rested until all was frozen\(behind)")
    }
    return Failure(
      .failed,
      "the freeze took longer than the --quiet-limit of \(limit) s: the applications went on before "
        + "everything was frozen\(behind)")
  }

  private func thaw(_ names: [String]) {
    for name in names {
      do { try catalogue.thaw(name, force: true, release: Providers.all.release) } catch {
        printError("floe: warning: \(error)")
      }
    }
  }

  /// "20261127-030000", of UTC: an image's name says of which night it is.
  static func stamp(_ seconds: Int64) -> String {
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))-"
      + "\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))"
  }

  // MARK: - Afterwards

  /// Thaws the images, or says why they stay.
  private func settle(_ report: inout BackupReport, isOver: Bool, lease: UInt32) {
    for index in report.images.indices {
      let name = report.images[index].image
      do {
        if keepsImages {
          if let id = UniqueIdentifier(report.images[index].id) { try catalogue.endLease(of: id) }
        } else if isOver {
          // The agent said that nothing is mounted any more; a mount that could not say so itself
          // must not keep the image.
          try catalogue.thaw(name, force: true, release: Providers.all.release)
          report.images[index].thawed = true
        } else {
          report.images[index].left_over =
            "nobody knows whether the job still reads it; floe serve thaws it when its lease of "
            + "\(lease) s is over and no mount is heard of"
        }
      } catch {
        report.images[index].left_over = "\(error)"
      }
    }
  }
}
