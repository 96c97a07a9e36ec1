import Catalogue
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import ImageService
import Logging
import Testing

@testable import Freezing
@testable import Jobs
@testable import floe

@Suite("A backup, as its production host sees it")
struct RunFollowerTests {
  /// An agent that answers on a socket.
  private final class Answering: Sendable {
    private let place: Place
    let runner: JobRunner
    let connection: AgentConnection
    let server: AgentServer

    init(_ text: String, heartbeat: Duration) throws {
      let place = try Place()
      self.place = place
      runner = try started(place, text)
      server = AgentServer(
        runner, jobs: Array(runner.configuration.jobs.values), heartbeat: heartbeat,
        logger: Logger(label: "test"))
      let endpoint = try ServiceEndpoint(socketPath: "\(place.path)/agent.sock")
      let isReady = Monitor(false)
      Task.detached { [server] in
        try await server.run(listen: endpoint) {
          isReady.withLock { $0 = true }
          isReady.notifyAll()
        }
      }
      isReady.wait { $0 ? .done(()) : .wait }
      connection = try AgentConnection(to: endpoint, service: place.socket)
    }

    func follower(silence: UInt64) -> RunFollower {
      var follower = RunFollower(agent: connection, job: "j", host: "prod")
      follower.patience = RunFollower.Patience(
        call: .seconds(1), silence: silence * 1_000_000_000, farewell: 0)
      return follower
    }

    func stop() {
      connection.close()
      server.shutDown()
      runner.stop()
    }
  }

  /// - Parameter job: what the table of the job “j” has.
  private func answering(_ job: String, heartbeat: Duration) async throws -> Answering {
    // The pool's own threads are needed to answer.
    try await blocking { try Answering("[jobs.j]\n\(job)", heartbeat: heartbeat) }
  }

  private let images = [RunImage(id: .random(), label: "data")]

  @Test("A job that goes on for longer than an agent may be silent is followed to its end")
  func longer() async throws {
    let agent = try await answering("command = [\"sleep\", \"12\"]", heartbeat: .seconds(1000))
    let end = try await blocking { [images] in agent.follower(silence: 10).run(images) }
    #expect(end.state == .succeeded && end.isOver && end.exitStatus == 0, "\(end)")
    agent.stop()
  }

  @Test("Who follows a job that says nothing is told again and again that it goes on")
  func heartbeat() async throws {
    let agent = try await answering(
      "command = [\"sleep\", \"1000\"]", heartbeat: .milliseconds(100))
    let run = UniqueIdentifier.random()
    let told = Monitor(0)
    try await blocking { [images] in
      try agent.connection.run(run, job: "j", host: "prod", images: images)
      try agent.connection.follow(run, from: 0, for: .seconds(60)) { _ in
        let count = told.withLock {
          $0 += 1
          return $0
        }
        // More than there are steps of a run.
        if count == 10 { agent.runner.cancel(run) }
      }
    }
    agent.stop()
  }

  @Test("An agent that is gone is given up, and the job counts as lost")
  func gone() async throws {
    let agent = try await answering("command = [\"sleep\", \"1000\"]", heartbeat: .seconds(1))
    let end = try await blocking { [images] in
      try Thread.detach {
        usleep(1_000_000)
        agent.server.shutDown()
      }
      return agent.follower(silence: 2).run(images)
    }
    #expect(end.state == .lost && !end.isOver, "\(end)")
    #expect(end.reason?.contains("no agent answers") == true, "\(end)")
    agent.stop()
  }

  @Test("An agent tells how long its jobs may take")
  func jobs() async throws {
    let agent = try await answering(
      "command = [\"true\"]\ntimeout = 7\n[jobs.i]\ncommand = [\"true\"]",
      heartbeat: .seconds(1))
    let jobs = try await blocking { try agent.connection.jobs() }
    #expect(jobs.map(\.name) == ["i", "j"] && jobs.map(\.timeout) == [86_400, 7])
    agent.stop()
  }

  @Test("Images live as long as their job may take, one after the other")
  func leaseTime() {
    #expect(BackupRun.leaseTime(asked: 3600, timeout: 7, images: 2) == 3600)
    #expect(BackupRun.leaseTime(asked: 3600, timeout: 86_400, images: 2) == 172_800)
    #expect(BackupRun.leaseTime(asked: 1, timeout: .max, images: 64) == .max)
  }

  @Test("A run is cancelled again until somebody answers")
  func cancel() {
    struct Unanswered: Error {}
    let tries = Monitor(0)
    let watch = CancelWatch(isWanted: { true }) {
      let number = tries.withLock {
        $0 += 1
        return $0
      }
      tries.notifyAll()
      if number < 3 { throw Unanswered() }
    }
    tries.wait { $0 >= 3 ? .done(()) : .wait }
    watch.stop()
  }

  @Test("No lease is written once its keeper was stopped")
  func keeper() throws {
    let writing = Monitor(0)
    let written = Monitor(0)
    let keeper = try LeaseKeeper(Lease(seconds: 1, holder: "a test")) { _, _ in
      writing.withLock { $0 += 1 }
      writing.notifyAll()
      usleep(300_000)
      written.withLock { $0 += 1 }
    }
    try keeper.add(.random())
    writing.wait { $0 >= 2 ? .done(()) : .wait }
    keeper.stop()
    #expect(written.withLock { $0 } == writing.withLock { $0 })
  }

  @Test("A host whose name is none is refused: it would share its backups with others")
  func hostName() throws {
    #expect(try BackupRun.hostName("prod-1.example") == "prod-1.example")
    for name in ["", "my host", "-x", "(none)"] {
      #expect(throws: Failure.self) { try BackupRun.hostName(name) }
    }
  }

  @Test("Applications go on when their guard is killed, whether they rest by then or not")
  func guardGone() throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let program = "\(place.path)/guard"
    for (script, file) in [("echo held >&3", "one"), ("kill -9 $$", "two")] {
      let text = Array("#!/bin/sh\n\(script)\n".utf8)
      let descriptor = open(program, O_CREAT | O_WRONLY | O_TRUNC, 0o700)
      #expect(write(descriptor, text, text.count) == text.count)
      close(descriptor)
      func rest() throws -> QuietPeriod {
        try QuietPeriod(
          before: nil, behind: "echo on > \(place.path)/\(file)", limit: 10, program: program)
      }
      if file == "one" {
        let outcome = try rest().end()
        #expect(outcome.isGuardGone && outcome.wasForced, "\(outcome)")
        #expect(outcome.problem?.contains("was run without it") == true)
      } else {
        let failure = #expect(throws: Failure.self) { try rest() }
        #expect(failure?.sentence.contains("was run without it") == true)
      }
      #expect(access("\(place.path)/\(file)", F_OK) == 0)
    }
  }

  @Test("What lasts is told once")
  func told() {
    var told = ProblemsTold()
    let problems = [("no room", "a"), ("no room", "a"), ("no room", "b"), ("in use", "a")]
    #expect(problems.map { told.isNew($0, of: $1) } == [true, false, true, true])
    told.forget("a")
    let isNew = told.isNew("in use", of: "a")
    #expect(isNew)
  }
}
