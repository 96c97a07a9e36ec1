import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Synchronization

/// An image that is gone: who says so, and when that is believed.
extension AnswerSources {
  /// Times that the storage has to show it, where the production host cannot be asked.
  private static let looks = 3
  /// Nanoseconds for which a production host that gave no answer counts as silent.
  static let silence: UInt64 = 5_000_000_000
  /// Seconds between two questions to the production host that no read asked for: as often as
  /// the session of a mount is kept.
  private static let watchInterval: UInt32 = 15
  /// One of so many of these compares the media.
  private static let comparisonInterval = 4

  /// Whether the production host gave no answer a moment ago.
  var isHostSilent: Bool {
    let now = now()
    return known.withLock { known in
      known.lastSilent.map { now - min($0, now) < Self.silence } ?? false
    }
  }

  /// What is told when the storage shows that the image is gone, and the production host does
  /// not say so.
  ///
  /// This host's devices may be a replica that lags behind, and a reader never takes a thaw back:
  /// so it is believed only once it stays so for as long as a read waits.
  func withoutHost(_ reason: String, _ failure: SourceError) -> SourceError {
    switch failure {
    case .thawed: return failure
    case .failed(let why):
      return .unreachable(
        "the storage shows that the image is gone (\(reason)), and the production host does not "
          + "confirm it: \(why)")
    case .unreachable(let why):
      let now = now()
      let isFinal = known.withLock { known in
        let gone = known.gone ?? (now, 0)
        known.gone = (gone.since, gone.looks + 1)
        return gone.looks + 1 >= Self.looks && now - min(gone.since, now) >= patience
      }
      if isFinal { return .thawed(reason) }
      return .unreachable(
        "the storage shows that the image is gone (\(reason)), and the production host cannot be "
          + "asked: \(why)")
    }
  }

  /// Asks the production host now and then whether the image is frozen, as long as this object
  /// lives: a thaw that the media do not show would never reach a reader whose questions the
  /// storage answers. No read waits for it.
  ///
  /// - Throws: `Errno` when the system has no thread left.
  func watchHost() throws {
    guard isHostLeftAlone else { return }
    try Thread.detach { [weak self] in
      var count = 0
      while self?.checkHost(comparing: count.isMultiple(of: Self.comparisonInterval)) ?? false {
        count &+= 1
        sleep(Self.watchInterval)
      }
    }
  }

  /// - Parameter comparing: whether the media are to be compared with the production host's as
  ///   well: now, or as soon as both answer.
  /// - Returns: whether to ask again.
  func checkHost(comparing: Bool = false) -> Bool {
    if comparing { known.withLock { $0.isComparisonDue = true } }
    do throws(SourceError) {
      try host.liveCheck()
      heardHost()
    } catch {
      note(error)
      return known.withLock { $0.thawed == nil }
    }
    // What the storage does not tell says nothing of the production host. It is tried again
    // at the next look.
    if known.withLock({ $0.isComparisonDue }), (try? compareMedia()) != nil {
      known.withLock { $0.isComparisonDue = false }
    }
    return known.withLock { $0.thawed == nil }
  }
}
