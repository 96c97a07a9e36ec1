import FrozenImage
import Glibc
import HostSystem
import Synchronization
import Testing

@testable import Jobs

/// What a run leaves to those behind it, and to who looks later.
extension JobRunnerTests {
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
