import Catalogue
import FrozenImage
import Glibc
import HostSystem
import Logging
import Synchronization

/// Tells the log what happens to the images of a catalogue: who mounts them, who fetches
/// them, what fails, which come and which go, also by other processes.
final class ServiceLog: Sendable {
  /// Seconds for which a message is not repeated, so that a backup host that asks five times
  /// a second does not fill the log.
  static let silence: UInt64 = 60
  /// Most messages of that time: more are not logged, whatever a client asks for.
  private static let memory = 64

  private struct State {
    /// The names of the images that are frozen; `nil` before the first look.
    var images: [UniqueIdentifier: String]?
    var sessions: [UniqueIdentifier: Session] = [:]
    /// Sessions that ended since the last look began.
    var ended: Set<UniqueIdentifier> = []
    /// When messages were logged last, in nanoseconds of the monotonic clock, and how often
    /// they came since.
    var said: [String: (time: UInt64, again: Int)] = [:]
  }

  private struct Session {
    let record: SessionRecord
    let image: UniqueIdentifier
  }

  private let catalogue: Catalogue
  private let logger: Logger
  private let began = MonotonicClock.now()
  private let state = Mutex(State())

  init(of catalogue: Catalogue, to logger: Logger) {
    self.catalogue = catalogue
    self.logger = logger
  }

  // MARK: - What calls tell

  func sessionBegan(_ session: SessionRecord, on image: UniqueIdentifier) {
    state.withLock { $0.sessions[session.id] = Session(record: session, image: image) }
    logger.notice("mounted by a backup host", metadata: metadata(session, image))
  }

  func sessionEnded(_ id: UniqueIdentifier, on image: UniqueIdentifier) {
    let session = state.withLock { state in
      state.ended.insert(id)
      return state.sessions.removeValue(forKey: id)
    }
    guard let session else { return }
    logger.notice("unmounted by a backup host", metadata: metadata(session.record, image))
  }

  func fetched(_ image: UniqueIdentifier, bytes: UInt64) {
    logger.notice("the representation was fetched, \(bytes) bytes", metadata: metadata(image))
  }

  /// Notes that a call about an image ended without an answer.
  func failed(_ reason: String, about image: UniqueIdentifier?) {
    let now = MonotonicClock.now()
    let again: Int? = state.withLock { state in
      let isOver = { (time: UInt64) in now - time >= Self.silence * 1_000_000_000 }
      if let last = state.said[reason] {
        state.said[reason] = isOver(last.time) ? (now, 0) : (last.time, last.again + 1)
        return isOver(last.time) ? last.again : nil
      }
      if state.said.count >= Self.memory { state.said = state.said.filter { !isOver($1.time) } }
      guard state.said.count < Self.memory else { return nil }
      state.said[reason] = (now, 0)
      return 0
    }
    guard let again else { return }
    logger.warning(
      "a backup host got no answer: \(reason)\(again > 0 ? " (and \(again) times before)" : "")",
      metadata: image.map { metadata($0) })
  }

  // MARK: - What others did

  /// Looks at what changed in the state directory. Blocks.
  func look() {
    state.withLock { $0.ended = [] }
    guard let found = try? catalogue.frozenNames() else { return }
    let (before, sessions) = state.withLock { state in
      defer { state.images = found }
      return (state.images, state.sessions)
    }
    if let before {
      for (id, name) in found where before[id] == nil {
        logger.notice("frozen", metadata: Self.metadata(name, id))
      }
      for (id, name) in before where found[id] == nil {
        thawed(id, name, sessions.values.filter { $0.image == id }.map(\.record))
      }
    }
    for id in found.keys { look(atSessionsOf: id) }
  }

  private func thawed(_ id: UniqueIdentifier, _ name: String, _ sessions: [SessionRecord]) {
    let metadata = Self.metadata(name, id)
    logger.notice("thawed", metadata: metadata)
    for session in sessions {
      state.withLock { $0.sessions[session.id] = nil }
      logger.warning(
        "thawed although a backup host had it mounted: its reads fail from now on",
        metadata: metadata.merging(Self.metadata(session)) { $1 })
    }
  }

  /// Learns of sessions that an earlier service had, and calls those over that nobody kept
  /// while this one was running.
  private func look(atSessionsOf image: UniqueIdentifier) {
    guard let alive = try? catalogue.sessions(of: image),
      let silent = try? catalogue.silentSessions(of: image)
    else { return }
    let all = alive + silent
    state.withLock { state in
      state.sessions = state.sessions.filter { id, session in
        session.image != image || all.contains { $0.id == id }
      }
      for session in all where !state.ended.contains(session.id) {
        state.sessions[session.id] = Session(record: session, image: image)
      }
    }
    let lifetime = UInt64(Catalogue.sessionLifetime) * 1_000_000_000
    guard MonotonicClock.now() - began > lifetime else { return }
    for session in (try? catalogue.endSilentSessions(of: image)) ?? [] {
      state.withLock { $0.sessions[session.id] = nil }
      logger.warning(
        """
        a backup host that had it mounted was not heard of for \(Catalogue.sessionLifetime) \
        seconds, and keeps nobody from thawing it any more
        """, metadata: metadata(session, image))
    }
  }

  // MARK: - Names

  private func metadata(_ image: UniqueIdentifier) -> Logger.Metadata {
    let name =
      state.withLock { $0.images?[image] } ?? (try? catalogue.frozenRecord(of: image))?.name
    return Self.metadata(name ?? "?", image)
  }

  private func metadata(_ session: SessionRecord, _ image: UniqueIdentifier) -> Logger.Metadata {
    metadata(image).merging(Self.metadata(session)) { $1 }
  }

  private static func metadata(_ name: String, _ id: UniqueIdentifier) -> Logger.Metadata {
    ["image": "\(name)", "image_id": "\(id)"]
  }

  private static func metadata(_ session: SessionRecord) -> Logger.Metadata {
    ["backup_host": "\(session.backupHost)", "mountpoint": "\(session.mountpoint)"]
  }
}
