package import Catalogue
package import DataSets
import FrozenImage

/// Tells of snapshots that are about to be full, each once until there is room again.
package struct FillWatch {
  private let catalogue: Catalogue
  private let providers: Providers
  private var told: Set<UniqueIdentifier> = []

  package init(_ catalogue: Catalogue, _ providers: Providers) {
    self.catalogue = catalogue
    self.providers = providers
  }

  /// Looks at the snapshots of all frozen images.
  ///
  /// - Parameter tell: is called with an image's name and how full its snapshot is.
  package mutating func look(_ tell: (String, SnapshotFill) -> Void) {
    guard let entries = try? catalogue.entries() else { return }
    var full: Set<UniqueIdentifier> = []
    for entry in entries where entry.state == .frozen {
      guard let record = entry.record, let fill = providers.fill(of: record),
        fill.percent >= SnapshotFill.limit
      else { continue }
      full.insert(entry.id)
      if !told.contains(entry.id) { tell(entry.label, fill) }
    }
    told = full
  }
}
