import FrozenImage
import Glibc
import HostSystem
import Synchronization
import Testing

@testable import Jobs

/// What a run leaves to those behind it, and to who looks later.
extension JobRunnerTests {
  @Test("What left a job's session ends with it, also when it never stops to speak")
  func sessions() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try started(
      place,
      """
      [jobs.j]
      command = ["sh", "-c", "setsid yes $(printf %04000d 1) & sleep 0.3"]
      """)
    let run = try place.request("j")
    try runner.submit(run)
    #expect(try await end(of: run, in: runner).record.state == .succeeded)
    #expect(RunProcesses.processes(of: run.id.description).isEmpty)
    runner.stop()
  }

  @Test("A mount that cannot be taken away is no success")
  func stays() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try started(place, "[jobs.j]\ncommand = [\"true\"]", Mounts(stays: true))
    let run = try place.request("j")
    try runner.submit(run)
    let record = try await end(of: run, in: runner).record
    #expect(record.state == .failed && record.exitStatus == 125)
    #expect(record.reason?.contains("mounted still") == true)
    runner.stop()
  }

  @Test("A process that nothing ends is left behind, after the last resort")
  func immortal() throws {
    var process = try #require(RunningProcess("sleep", ["sleep", "1000"]))
    let session = Mutex<Int32>(0)
    process.grace = 50_000_000
    process.signal = { number, _ in session.withLock { $0 = number } }
    var resorts = 0
    var lines: [String] = []
    let ending = process.wait(
      within: 1, isCancelled: { false }, lastResort: { resorts += 1 }, line: { lines.append($0) })
    kill(session.withLock { $0 }, SIGKILL)
    #expect(ending == .timedOut && resorts == 1)
    #expect(lines.count == 1 && lines[0].contains("left behind"), "\(lines)")
  }

  @Test("A job over all images of a host waits for its other runs, and sees its own images alone")
  func together() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try started(
      place,
      """
      [jobs.one]
      command = ["sh", "-c", "while ! test -e \(place.path)/go; do sleep 0.02; done"]
      [jobs.all]
      command = ["ls", "{mount}"]
      together = true
      """)
    let (one, all) = (try place.request("one"), try place.request("all", images: ["x", "y"]))
    try runner.submit(one)
    try runner.submit(all)
    usleep(200_000)
    #expect(runner.news(of: all.id, from: 0)?.record.state == .waiting)
    close(open("\(place.path)/go", O_CREAT | O_WRONLY, 0o600))
    #expect(try await end(of: one, in: runner).record.state == .succeeded)
    #expect(try await end(of: all, in: runner).lines == ["x", "y"])
    runner.stop()
  }

  @Test(
    "Nobody but a job's user and his group enters the directory in which its images are mounted")
  func directory() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let entry = try #require(getpwuid(geteuid())).pointee
    let (user, group) = (String(cString: entry.pw_name), entry.pw_gid)
    let runner = try started(
      place,
      "[jobs.j]\ncommand = [\"true\"]\nuser = \"\(user)\"\n"
        + "[jobs.k]\ncommand = [\"true\"]\nuser = \"no-such-user\"")
    let (run, other) = (try place.request("j"), try place.request("k"))
    try runner.submit(run)
    #expect(try await end(of: run, in: runner).record.state == .succeeded)
    var status = stat()
    #expect(stat("\(place.path)/mnt/prod", &status) == 0)
    #expect(status.st_mode & 0o777 == 0o710 && status.st_uid == geteuid())
    #expect(status.st_gid == group)
    try runner.submit(other)
    #expect(try await end(of: other, in: runner).record.reason?.contains("no user") == true)
    runner.stop()
  }

  @Test("Runs of a host wait for each other where they have other users, or the same image")
  func users() {
    func entry(_ user: String?, _ image: String?, host: String = "prod") -> RunQueue.Entry {
      RunQueue.Entry(
        id: .random(), job: "j", limit: 2, host: host, user: user, places: image.map { [$0] })
    }
    #expect(entry("a", "1").collides(with: entry("b", "2")))
    #expect(!entry("a", "1").collides(with: entry("a", "2")))
    #expect(!entry("a", "1").collides(with: entry(nil, "2")))
    #expect(entry("a", "1").collides(with: entry(nil, "1")))
    #expect(entry(nil, nil).collides(with: entry(nil, "1")))
    #expect(!entry("a", nil).collides(with: entry("b", nil, host: "other")))
  }

  @Test("The history keeps its limit while the agent runs, and no run is run twice")
  func history() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    place.limit = 3
    let runner = try started(
      place,
      "[jobs.j]\ncommand = [\"sh\", \"-c\", \"echo x >> \(place.path)/count\"]")
    var runs: [RunRequest] = []
    for _ in 0..<5 {
      let run = try place.request("j")
      try runner.submit(run)
      _ = try await end(of: run, in: runner)
      runs.append(run)
    }
    let kept = try place.history.runs().map(\.id)
    #expect(kept.count == 3)
    runner.stop()
    // An agent that was started again.
    let next = try started(place, "[jobs.j]\ncommand = [\"false\"]")
    let run = try #require(runs.first { kept.contains("\($0.id)") })
    try next.submit(run)
    #expect(next.news(of: run.id, from: 0)?.record.state == .succeeded)
    next.stop()
    #expect(next.news(of: run.id, from: 0)?.record.state == .succeeded)
  }

  @Test("A log keeps its last lines, within its bytes")
  func log() {
    var log = RunLog()
    for index in 0..<1000 { log.append("\(index) " + String(repeating: "x", count: 4000)) }
    #expect(log.bytes <= RunLog.maximumBytes && log.lines.last?.hasPrefix("999 ") == true)
    let (first, lines) = log.lines(from: 0)
    #expect(first + UInt64(lines.count) == 1000 && lines[0].hasPrefix("\(first) "))
    #expect(log.lines(from: 999).lines.count == 1 && log.lines(from: 5000).lines.isEmpty)
    log.shrink(toLines: 10, bytes: 9000)
    #expect(log.firstLine == 998 && log.bytes <= 9000)
    for _ in 0..<20_000 { log.append("") }
    #expect(
      log.lines.count <= RunLog.maximumLines && log.firstLine + UInt64(log.lines.count) == 21_000)
  }

  @Test("The logs of runs that are long over are short")
  func logs() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try started(
      place, "[jobs.j]\ncommand = [\"seq\", \"1\", \"3000\"]\nat_once = 2")
    var runs: [RunRequest] = []
    for _ in 0..<10 {
      let run = try place.request("j")
      try runner.submit(run)
      _ = try await end(of: run, in: runner)
      runs.append(run)
    }
    let counts = runs.map { runner.news(of: $0.id, from: 0)?.lines.count ?? 0 }
    #expect(counts == [500, 500] + Array(repeating: 3000, count: 8))
    runner.stop()
  }
}
