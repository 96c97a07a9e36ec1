import FrozenImage
import Glibc
import SystemPackage

extension Catalogue {
  /// Removes an image: first what its provider made, then the representation and the
  /// record. A crash in between leaves an image that is thawed again.
  ///
  /// - Parameters:
  ///   - reference: the image's name or UUID; an orphan's too.
  ///   - force: also while backup hosts have it mounted, and when its record is damaged.
  ///   - release: deletes what the provider made for the image; no error when that is
  ///     gone already. It is not called for a damaged record, which does not say what.
  /// - Throws: `CatalogueError.mounted`, `.beingFrozen`, `.damaged`, `.unknownImage`, and
  ///   what `release` throws.
  /// - Returns: what was removed.
  @discardableResult
  public func thaw(
    _ reference: String, force: Bool, release: (ImageRecord) throws -> Void
  ) throws -> ImageEntry {
    guard access(directory.string, F_OK) == 0 else {
      throw CatalogueError.unknownImage(reference, stateDirectory: directory.string)
    }
    return try files.withStateLock {
      let entry = try entry(named: reference)
      switch entry.state {
      case .beingFrozen: throw CatalogueError.beingFrozen(image: entry.label)
      case .damaged(let reason) where !force:
        throw CatalogueError.damaged(image: entry.label, reason: reason)
      case .frozen, .orphan, .damaged: break
      }
      guard force || entry.sessions.isEmpty else {
        throw CatalogueError.mounted(image: entry.label, sessions: entry.sessions)
      }
      if let record = entry.record { try release(record) }
      try forget(entry.id)
      return entry
    }
  }

  /// Removes an image's directory; the caller holds the lock of the state directory.
  func forget(_ image: UniqueIdentifier) throws(CatalogueError) {
    let hidden = images.appending(".removed-\(image)")
    try files.remove(hidden)
    try files.move(directory(of: image), to: hidden)
    try files.remove(hidden)
  }
}
