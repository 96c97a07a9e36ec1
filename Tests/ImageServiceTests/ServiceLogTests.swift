import Catalogue
import FrozenImage
import ImageFixtures
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import ImageService

/// What the log of a service tells.
@Suite struct ServiceLogTests {
  /// Keeps what is logged.
  private final class Recorder: Sendable {
    struct Line: Sendable {
      let level: Logger.Level
      let text: String
      let metadata: Logger.Metadata
    }

    private let recorded = Mutex<[Line]>([])

    func add(_ line: Line) { recorded.withLock { $0.append(line) } }

    /// What was logged since the last call.
    func take() -> [Line] {
      recorded.withLock { lines in
        defer { lines = [] }
        return lines
      }
    }
  }

  private struct Handler: LogHandler {
    let recorder: Recorder
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      recorder.add(
        Recorder.Line(
          level: event.level, text: "\(event.message)", metadata: event.metadata ?? [:]))
    }
  }

  private let directory: TemporaryDirectory
  private let catalogue: Catalogue
  private let recorder = Recorder()
  private let log: ServiceLog
  private let session = SessionRecord(id: .random(), backupHost: "backup1", mountpoint: "/mnt/x")

  init() throws {
    directory = try TemporaryDirectory()
    catalogue = Catalogue(directory: directory.path.appending("state"))
    log = ServiceLog(
      of: catalogue, to: Logger(label: "test") { [recorder] _ in Handler(recorder: recorder) })
    try catalogue.create()
  }

  @Test func mountsAndUnmountsAreToldWithHostAndPlace() throws {
    let record = try catalogue.freeze("nightly")
    log.look()
    _ = recorder.take()
    log.sessionBegan(session, on: record.id)
    log.fetched(record.id, bytes: 17)
    log.sessionEnded(session.id, on: record.id)
    let lines = recorder.take()
    #expect(lines.map(\.level) == [.notice, .notice, .notice])
    #expect(lines.allSatisfy { $0.metadata["image"] == "nightly" })
    for line in [lines.first, lines.last] {
      #expect(line?.metadata["backup_host"] == "backup1")
      #expect(line?.metadata["mountpoint"] == "/mnt/x")
    }
    #expect(lines[1].text.contains("17 bytes"))
  }

  /// By other processes, as `floe freeze` and `floe thaw` are.
  @Test func imagesThatComeAndGoAreTold() throws {
    log.look()
    let record = try catalogue.freeze("nightly")
    log.look()
    #expect(recorder.take().map(\.text) == ["frozen"])
    try catalogue.keep(session, on: record.id)
    log.look()
    #expect(recorder.take().isEmpty)
    try catalogue.thaw("nightly", force: true) { _ in }
    log.look()
    let lines = recorder.take()
    #expect(lines.map(\.level) == [.notice, .warning])
    #expect(lines.first?.text == "thawed")
    #expect(lines.last?.metadata["backup_host"] == "backup1")
    log.look()
    #expect(recorder.take().isEmpty)
  }

  @Test func aFailureIsToldOnceAMinute() throws {
    let record = try catalogue.freeze("nightly")
    log.look()
    _ = recorder.take()
    for _ in 0..<100 { log.failed("the volume is not mounted", about: record.id) }
    let lines = recorder.take()
    #expect(lines.map(\.level) == [.warning])
    #expect(lines.first?.text.contains("the volume is not mounted") == true)
    // Whatever a client makes up.
    for number in 0..<10_000 { log.failed("no image \(number)", about: nil) }
    #expect(recorder.take().count < 100)
  }

  @Test func aSessionThatEndedIsNotCalledMountedAtTheThaw() throws {
    let record = try catalogue.freeze("nightly")
    try catalogue.keep(session, on: record.id)
    log.look()
    try catalogue.end(session.id, on: record.id)
    log.sessionEnded(session.id, on: record.id)
    try catalogue.thaw("nightly", force: false) { _ in }
    _ = recorder.take()
    log.look()
    #expect(recorder.take().map(\.text) == ["thawed"])
  }
}
