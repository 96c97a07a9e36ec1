package import Catalogue
import DataSets
package import FrozenImage

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
  /// The level of each that was told.
  private var told: [UniqueIdentifier: Int] = [:]

  package init(_ catalogue: Catalogue, _ providers: Providers) {
    self.catalogue = catalogue
    self.providers = providers
  }

  /// Looks at the snapshots of all frozen images.
  ///
  /// - Parameter tell: is called with an image's name and what there is to tell.
  package mutating func look(_ tell: (String, Event) -> Void) {
    guard let entries = try? catalogue.entries() else { return }
    var levels: [UniqueIdentifier: Int] = [:]
    for entry in entries where entry.state == .frozen {
      guard let record = entry.record, var fill = providers.fill(of: record), fill.level > 0
      else { continue }
      var failure: String?
      do {
        if let done = try providers.extend(record) {
          tell(entry.label, .grew(done))
          fill = providers.fill(of: record) ?? fill
        }
      } catch {
        failure = "\(error)"
      }
      levels[entry.id] = fill.level
      guard fill.level > told[entry.id] ?? 0 else { continue }
      tell(entry.label, .fills(fill))
      if let failure { tell(entry.label, .cannotGrow(failure)) }
    }
    told = levels
  }
}
