import FrozenImage
import Logging
import Media
import Synchronization

/// The media that were taken for an image, so that whoever mounts it sees which, and why.
final class TakenMedia: Sendable {
  struct Entry: Sendable {
    let medium: MediumDescription
    let path: String
    let origin: MediumOrigin
  }

  private struct State {
    var entries: [Entry] = []
    var isReported = false
  }

  private let state = Mutex(State())
  private let logger = Logger(label: "floe.mount")

  /// Notes a medium; one that is taken after `report` is logged.
  func note(_ medium: MediumDescription, _ found: OpenMedium, _ origin: MediumOrigin) {
    let entry = Entry(medium: medium, path: found.path, origin: origin)
    let isLate = state.withLock { state in
      if !state.isReported { state.entries.append(entry) }
      return state.isReported
    }
    if isLate { logger.notice("\(MountReport.line(entry))") }
  }

  /// What was taken until now.
  func report() -> [Entry] {
    state.withLock { state in
      state.isReported = true
      return state.entries
    }
  }
}
