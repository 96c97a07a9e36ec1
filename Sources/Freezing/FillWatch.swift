package import Catalogue
import DataSets
package import FrozenImage
import HostSystem

/// Looks after snapshots that fill up: has those grow that may, and tells of the others at each
/// level that they reach, again when there was room in between.
package struct FillWatch {
  /// What is told of a snapshot.
  package enum Event: Hashable, Sendable {
    /// It reached a level.
    case fills(SnapshotFill)
    /// It was given more room: one sentence.
    case grew(String)
    /// It reached a level and was to get more room: why it did not.
    case cannotGrow(String)
  }

  private let catalogue: Catalogue
  private let providers: Providers
  /// Nanoseconds of a clock that never goes back.
  private let now: @Sendable () -> UInt64
  /// The level of each that was told.
  private var told: [UniqueIdentifier: Int] = [:]
  /// Until when each that took long is not looked at.
  private var rest: [UniqueIdentifier: UInt64] = [:]
  /// Those that could not grow.
  private var stuck: [UniqueIdentifier: Failure] = [:]

  /// Why a snapshot did not grow, and when that is tried again.
  private struct Failure {
    let reason: String
    let pause: UInt64
    let retryTime: UInt64
  }

  /// Nanoseconds for which nobody looks again, after a look that found nothing or took long, as
  /// at a store of many gigabytes. What is to grow is always looked at.
  private static let restAfterLook: UInt64 = 60_000_000_000
  /// Nanoseconds of a look that takes long.
  private static let longLook: UInt64 = 200_000_000
  /// Nanoseconds until a snapshot that could not grow is tried again, the first time and at the
  /// most, where the origin may have stood still for the attempt.
  private static let pauses: (first: UInt64, longest: UInt64) = (60_000_000_000, 600_000_000_000)

  /// - Parameter now: nanoseconds of a clock that never goes back.
  package init(
    _ catalogue: Catalogue, _ providers: Providers,
    now: @escaping @Sendable () -> UInt64 = { MonotonicClock.now() }
  ) {
    self.catalogue = catalogue
    self.providers = providers
    self.now = now
  }

  /// Looks at the snapshots of all frozen images.
  ///
  /// - Parameter tell: is called with an image's name and what there is to tell.
  package mutating func look(_ tell: (String, Event) -> Void) {
    guard let entries = try? catalogue.entries() else { return }
    var levels: [UniqueIdentifier: Int] = [:]
    for entry in entries where entry.state == .frozen {
      let begin = now()
      if begin < rest[entry.id] ?? 0 {
        levels[entry.id] = told[entry.id]
        continue
      }
      guard let record = entry.record else { continue }
      let found = providers.fill(of: record)
      let isSlow = found == nil || now() - begin > Self.longLook
      rest[entry.id] = isSlow && !providers.mayGrow(record) ? begin + Self.restAfterLook : nil
      guard var fill = found, fill.level > 0 else { continue }
      // At the next level it is urgent.
      if begin >= stuck[entry.id]?.retryTime ?? 0 || fill.level > told[entry.id] ?? 0 {
        do {
          if let done = try providers.extend(record) {
            tell(entry.label, .grew(done))
            fill = providers.fill(of: record) ?? fill
          }
          stuck[entry.id] = nil
        } catch {
          note(error, of: entry.id, at: begin)
        }
      }
      let failure = stuck[entry.id]?.reason
      levels[entry.id] = fill.level
      guard fill.level > told[entry.id] ?? 0 else { continue }
      tell(entry.label, .fills(fill))
      if let failure { tell(entry.label, .cannotGrow(failure)) }
    }
    told = levels
  }

  private mutating func note(_ error: any Error, of image: UniqueIdentifier, at time: UInt64) {
    var pause: UInt64 = 0
    // That there is no room is known without a change: somebody may add a disk at any time.
    if ErrorCode(of: error) != .noRoom {
      pause = Self.pauses.first
      if let last = stuck[image]?.pause, last > 0 {
        pause = min(last * 2, Self.pauses.longest)
      }
    }
    stuck[image] = Failure(reason: "\(error)", pause: pause, retryTime: time + pause)
  }
}
