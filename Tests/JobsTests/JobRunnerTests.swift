import FrozenImage
import Glibc
import HostSystem
import Synchronization
import Testing

@testable import Jobs

@Suite("Runs of jobs")
struct JobRunnerTests {
  @Test("The job runs over each image at its mount, and what it says and its status come through")
  func each() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let mounts = Mounts()
    let runner = try started(
      place,
      """
      [jobs.j]
      command = ["sh", "-c", "pwd; echo $0; test $0 != b || exit 3", "{image}"]
      """, mounts)
    let run = try place.request("j", images: ["a", "b"])
    try runner.submit(run)
    let news = try await end(of: run, in: runner)
    #expect(
      news.lines == ["\(place.path)/mnt/prod/a", "a", "\(place.path)/mnt/prod/b", "b"])
    #expect(news.record.state == .failed && news.record.exitStatus == 3)
    #expect(news.record.images.map(\.exitStatus) == [0, 3])
    #expect(news.record.images.map(\.counts.reads) == [7, 7])
    #expect(mounts.mounted.withLock { $0.isEmpty })
    #expect(try place.history.runs() == [news.record])
    #expect(access(run.socket, F_OK) != 0, "a socket that ssh left is removed")
    runner.stop()
  }

  @Test("A job that takes too long is ended with all that it started")
  func timeout() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let mounts = Mounts()
    let runner = try started(
      place,
      """
      [jobs.j]
      command = ["sh", "-c", "sleep 1000 & sleep 1000"]
      timeout = 1
      """, mounts)
    let run = try place.request("j")
    try runner.submit(run)
    let news = try await end(of: run, in: runner)
    #expect(news.record.exitStatus == 124 && news.record.state == .failed)
    #expect(RunProcesses.processes(of: run.id.description).isEmpty)
    #expect(mounts.mounted.withLock { $0.isEmpty })
    runner.stop()
  }

  @Test("A job that fails is tried again as often as allowed, and a mount that fails ends the run")
  func retries() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try started(
      place,
      """
      [jobs.j]
      command = ["sh", "-c", "echo x >> {mount}/../n; test $(wc -l < {mount}/../n) = 3"]
      retries = 5
      """)
    let run = try place.request("j")
    try runner.submit(run)
    let news = try await end(of: run, in: runner)
    #expect(news.record.state == .succeeded && news.record.images[0].attempts == 3)
    runner.stop()

    let other = try Place()
    defer { withExtendedLifetime(other) {} }
    let refusing = try started(
      other, "[jobs.j]\ncommand = [\"true\"]", Mounts(refuses: true))
    let failing = try other.request("j")
    try refusing.submit(failing)
    let record = try await end(of: failing, in: refusing).record
    #expect(record.state == .failed && record.exitStatus == 125)
    #expect(record.reason?.contains("no medium is found") == true)
    refusing.stop()
  }

  @Test("A run is cancelled while it waits and while it works")
  func cancelled() async throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try started(place, "at_once = 1\n[jobs.j]\ncommand = [\"sleep\", \"1000\"]")
    let (first, second) = (try place.request("j"), try place.request("j", images: ["other"]))
    try runner.submit(first)
    // What ends removes its socket, which here is also the other one's.
    let limit = MonotonicClock.now() + 60_000_000_000
    while RunProcesses.processes(of: first.id.description).isEmpty, MonotonicClock.now() < limit {
      usleep(10_000)
    }
    try runner.submit(second)
    runner.cancel(second.id)
    #expect(try await end(of: second, in: runner).record.state == .cancelled)
    runner.cancel(first.id)
    #expect(try await end(of: first, in: runner).record.state == .cancelled)
    #expect(RunProcesses.processes(of: first.id.description).isEmpty)
    runner.stop()
  }

  @Test("An agent that starts again calls lost what ran, ends its processes and unmounts")
  func lost() throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let mounts = Mounts()
    let runner = try place.runner("[jobs.j]\ncommand = [\"true\"]", mounts)
    let run = try place.request("j")
    try place.history.create()
    var record = RunRecord(run, asked: 1)
    record.state = .running
    try place.history.keep(record)
    mounts.mounted.withLock { _ = $0.insert("\(place.path)/mnt/prod/data") }
    let left = try #require(
      RunningProcess("env", ["env", "\(RunProcesses.variable)=\(run.id)", "sleep", "1000"]))
    let limit = MonotonicClock.now() + 60_000_000_000
    while RunProcesses.processes(of: "\(run.id)").isEmpty, MonotonicClock.now() < limit {
      usleep(10_000)
    }
    #expect(try runner.recover().map(\.id) == [run.id.description])
    #expect(left.wait(within: .max / 2, isCancelled: { false }, line: { _ in }) == .exited(137))
    #expect(mounts.mounted.withLock { $0.isEmpty })
    #expect(runner.news(of: run.id, from: 0)?.record.state == .lost)
    #expect(try runner.recover().isEmpty)
  }

  @Test("Jobs that are not configured and a queue that is full are refused")
  func refused() throws {
    let place = try Place()
    defer { withExtendedLifetime(place) {} }
    let runner = try place.runner(
      "waiting = 1\nat_once = 1\n[jobs.j]\ncommand = [\"true\"]", Mounts())
    #expect(try runner.recover().isEmpty)
    let unknown = #expect(throws: Failure.self) { try runner.submit(try place.request("rm")) }
    #expect(unknown?.code == .notFound)
    let first = try place.request("j")
    try runner.submit(first)
    try runner.submit(first)
    let full = #expect(throws: Failure.self) { try runner.submit(try place.request("j")) }
    #expect(full?.code == .noRoom)
  }

  @Test("The queue keeps its limits, and nobody waits for one that has to wait itself")
  func queue() {
    func entry(_ job: String, _ place: String, limit: Int = 1) -> RunQueue.Entry {
      RunQueue.Entry(
        id: .random(), job: job, limit: limit, host: "prod", user: nil, places: [place])
    }
    var queue = RunQueue(atOnce: 2, maximumWaiting: 10)
    let entries = [
      entry("a", "1"), entry("a", "2"), entry("b", "1"), entry("b", "3"), entry("c", "4"),
    ]
    let added = entries.map { queue.add($0) }
    #expect(added.allSatisfy { $0 })
    var order: [RunQueue.Entry?] = []
    for ended in [nil, nil, nil, entries[0], entries[3]] {
      if let ended { queue.remove(ended.id) }
      order.append(queue.next())
    }
    #expect(order == [entries[0], entries[3], nil, entries[1], entries[2]])
  }
}
