package import FrozenImage
import Logging
package import Media
import Synchronization

/// The media that were taken for an image, so that whoever reads it sees which, and why.
package final class TakenMedia: Sendable {
  /// A medium, where it was found, and why it was taken.
  package struct Entry: Sendable, CustomStringConvertible {
    /// The medium as the image describes it.
    package let medium: MediumDescription
    /// Where this host has it open.
    package let path: String
    /// Why it was taken.
    package let origin: MediumOrigin

    /// “medium devid 1: /dev/sdc, found by …”.
    package var description: String {
      let elsewhere =
        medium.path == path ? "" : ", taken at another path than recorded (\(medium.path))"
      let label = medium.label == medium.path ? medium.id.description : medium.label
      return "medium \(label): \(path), \(origin)\(elsewhere)"
    }
  }

  private struct State {
    var entries: [Entry] = []
    var isReported = false
  }

  private let state = Mutex(State())
  private let logger = Logger(label: "floe.mount")

  package init() {}

  /// Notes a medium; one that is taken after `report` is logged.
  func note(_ medium: MediumDescription, _ found: OpenMedium, _ origin: MediumOrigin) {
    let entry = Entry(medium: medium, path: found.path, origin: origin)
    let isLate = state.withLock { state in
      if !state.isReported { state.entries.append(entry) }
      return state.isReported
    }
    if isLate { logger.notice("\(entry)") }
  }

  /// What was taken until now.
  package func report() -> [Entry] {
    state.withLock { state in
      state.isReported = true
      return state.entries
    }
  }
}
