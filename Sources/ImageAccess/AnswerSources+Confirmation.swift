import FrozenImage
import ImageReader
import Synchronization

// Where the kernel of the production host knows more than the media show (a leg of a raid that it
// alone left out), its answer counts. While it is silent, reads go on with what the storage tells;
// the witness shows that state then, so that no read would ask again when the host is back. So
// once it is heard, every read has to ask until one of its answers was taken.

/// Whether what a reader knows is what the production host says, where that one knows more.
enum Confirmation {
  /// It is, or the media tell all of it.
  case unneeded
  /// The storage answered, as the production host was silent.
  case lacking
  /// The production host was heard since.
  case due
  /// It answered. The reader takes that before it asks again.
  case given

  /// Whether reads have to ask.
  var isAwaited: Bool {
    switch self {
    case .unneeded, .lacking: false
    case .due, .given: true
    }
  }
}

extension AnswerSources {
  /// Nanoseconds for which a silent production host is not asked for better answers, at the most.
  private static let longestSilence: UInt64 = 60_000_000_000

  /// What the production host says of what it knows better; `nil` where the storage tells all
  /// of it, or the production host cannot be reached.
  ///
  /// What it refuses is refused: it was reached, and does not vouch for what the media show.
  func betterAnswer(_ question: MappingQuestion) throws(SourceError) -> MappingAnswer? {
    guard hasHost, hostKnowsMore() else {
      // The answer of the storage says all.
      confirm { $0 == .unneeded ? .unneeded : .given }
      return nil
    }
    do throws(SourceError) {
      guard !isBetterHostSilent else { throw .unreachable("it was silent a moment ago") }
      do throws(SourceError) {
        // Says within seconds whether the host is there; an answer may take half a minute, and
        // reads wait for it.
        try host.liveCheck()
      } catch {
        note(error)
        throw error
      }
      let answer = try askHost(question)
      known.withLock { $0.vainCalls = 0 }
      return answer
    } catch {
      guard case .unreachable = error else { throw error }
      confirm { _ in .lacking }
      return nil
    }
  }

  /// Whether a better answer was asked for in vain lately: the pause doubles each time, as
  /// reads wait while it is asked for.
  private var isBetterHostSilent: Bool {
    let now = now()
    return known.withLock { known in
      guard let last = known.lastSilent else {
        known.vainCalls = 0
        return false
      }
      let pause = min(Self.silence << UInt64(min(known.vainCalls, 4)), Self.longestSilence)
      guard now - min(last, now) >= pause else { return true }
      known.vainCalls += 1
      return false
    }
  }

  /// Notes that the production host was heard: what it did not confirm, it can confirm now.
  func heardHost() {
    known.withLock { $0.lastSilent = nil }
    confirm { $0 == .lacking ? .due : $0 }
  }

  /// Changes what was confirmed, and tells the reader.
  func confirm(_ change: (Confirmation) -> Confirmation) {
    let isNew = known.withLock { known in
      let was = known.confirmation.isAwaited
      known.confirmation = change(known.confirmation)
      return known.confirmation.isAwaited != was
    }
    if isNew { tellDoubt() }
  }
}
