public import FrozenImage
import Glibc
import HostSystem
public import ImageReader

/// What a reader did since it started, and what it knows now.
public struct ReaderStatus: Sendable {
  /// Counts since the reader started.
  public let statistics: ReaderStatistics
  /// The latest state of the mapping that is known.
  public let known: MappingState
  /// What the volume lies on under `known`.
  public let media: [MediumDescription]
  /// Media from which nothing may be read at present.
  public let lost: Set<MediumID>
  /// Why the last question had no answer.
  public let unanswered: String?
  /// Why the image is gone for good.
  public let thawed: String?
  /// Why the last reads failed, the newest reason first.
  public let failures: [ReadFailure]
  /// Why reads that need the production host fail at once; `nil` while they wait for it.
  public let outage: OutageStatus?
}

/// A production host that gave no answer for so long that nobody waits for it any more.
public struct OutageStatus: Sendable, Hashable {
  /// Since when, in seconds since 1970.
  public let sinceSeconds: Int64
  /// Why there was no answer last.
  public let reason: String
}

extension BlockingReader {
  /// What the reader did and knows.
  public var status: ReaderStatus {
    let failures = failures.newestFirst
    let now = MonotonicClock.now()
    let quick = quick.statistics
    return withRule { rule in
      ReaderStatus(
        statistics: rule.statistics + quick, known: rule.known, media: rule.media, lost: rule.lost,
        unanswered: rule.unanswered, thawed: rule.thawed, failures: failures,
        outage: rule.outage(at: now).map { outage in
          OutageStatus(
            sinceSeconds: Int64(time(nil)) - Int64((now - min(outage.began, now)) / 1_000_000_000),
            reason: outage.reason)
        })
    }
  }

  /// Looks at the media before anything is read, and asks the production host where they
  /// do not show the known state.
  ///
  /// - Returns: why reads of the media would fail now; `nil` when they would not.
  public func firstLook() -> SourceError? {
    let (begins, validation) = withRule { ($0.beginCheck(), $0.validation) }
    if begins { check() }
    if validation == .witness, withRule({ $0.isConfirmed }) { return nil }
    let question = withRule { $0.beginQuestion(now: MonotonicClock.now()) }
    guard let question else { return nil }
    return ask(question)
  }
}
