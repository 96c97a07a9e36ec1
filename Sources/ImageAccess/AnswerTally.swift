import Synchronization

/// How often who answered, and what is in doubt.
package final class AnswerTally: Sendable {
  /// Counts since the image was opened.
  package struct Counts: Hashable, Sendable {
    /// Answers made from the media.
    package var storage: UInt64 = 0
    /// Answers of the production host.
    package var productionHost: UInt64 = 0
    /// Answers of both that were about one state, and were compared.
    package var compared: UInt64 = 0
    /// Whether the storage can answer at all.
    package var canUseStorage = false
    /// Why the storage did not answer last; `nil` when it did.
    package var problem: String?
    /// Why nothing that the media show is believed: they are not the production host's, or the
    /// two do not say the same; `nil` while it is.
    package var doubt: String?
  }

  private let state = Mutex(Counts())

  package init() {}

  /// The counts until now.
  package var counts: Counts { state.withLock { $0 } }

  func note(_ change: (inout Counts) -> Void) { state.withLock { change(&$0) } }
}
