import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// What `Catalogue.thaw` removed.
public struct ThawedImage: Hashable, Sendable {
  /// As it was found before.
  public let entry: ImageEntry
  /// Why what the provider made may still be there, as one sentence; `nil` when it is gone.
  public let leftOver: String?
}

extension Catalogue {
  /// Removes an image: first what its provider made, then the representation and the
  /// record. A crash in between leaves an image that is thawed again.
  ///
  /// With `force` the image is forgotten although what its provider made cannot be
  /// deleted, as when its volume is gone; the result says so.
  ///
  /// - Parameters:
  ///   - reference: the image's name or UUID; an orphan's too.
  ///   - force: also while backup hosts have it mounted, when its record is damaged, and
  ///     when `release` throws.
  ///   - release: deletes what the provider made for the image; no error when that is
  ///     gone already. It is not called for a damaged record, which does not say what.
  /// - Throws: `CatalogueError.mounted`, `.perhapsMounted`, `.beingFrozen`, `.beingThawed`, `.damaged`, `.unknownImage`, and
  ///   without `force` what `release` throws.
  @discardableResult
  public func thaw(
    _ reference: String, force: Bool, release: (ImageRecord) throws -> Void
  ) throws -> ThawedImage {
    guard access(directory.string, F_OK) == 0 else {
      throw CatalogueError.unknownImage(reference, stateDirectory: directory.string)
    }
    // What a provider made may take long to remove, and others use the catalogue meanwhile;
    // the image's own lock keeps new mounts of it away.
    let (entry, held) = try files.withStateLock { () throws -> (ImageEntry, FileDescriptor) in
      let entry = try self.entry(named: reference)
      switch entry.state {
      case .beingFrozen: throw CatalogueError.beingFrozen(image: entry.label)
      case .damaged(let reason) where !force:
        throw CatalogueError.damaged(image: entry.label, reason: reason)
      case .frozen, .orphan, .damaged: break
      }
      guard force || entry.sessions.isEmpty else {
        throw CatalogueError.mounted(image: entry.label, sessions: entry.sessions)
      }
      let silent = try silentSessions(of: entry.id)
      guard force || silent.isEmpty else {
        throw CatalogueError.perhapsMounted(image: entry.label, sessions: silent)
      }
      return (entry, try lockToThaw(entry))
    }
    defer { try? held.close() }
    let leftOver = try releaseWhatWasMade(for: entry, force: force, release)
    try files.withStateLock { try forget(entry.id) }
    return ThawedImage(entry: entry, leftOver: leftOver)
  }

  private func lockToThaw(_ entry: ImageEntry) throws(CatalogueError) -> FileDescriptor {
    // Who lists the images holds the lock of an orphan for a moment, to see that it is one.
    for _ in 0..<100 {
      if let held = try files.lock(directory(of: entry.id), waiting: false) { return held }
      usleep(10_000)
    }
    throw CatalogueError.beingThawed(image: entry.label)
  }

  /// - Returns: why something may be left; `nil` when nothing is.
  private func releaseWhatWasMade(
    for entry: ImageEntry, force: Bool, _ release: (ImageRecord) throws -> Void
  ) throws -> String? {
    if case .damaged(let reason) = entry.state {
      return "\(CatalogueError.damaged(image: entry.label, reason: reason))"
    }
    do { if let record = entry.record { try release(record) } } catch  where force {
      return "\(error)"
    }
    return nil
  }

  /// Removes an image's directory; the caller holds the lock of the state directory.
  func forget(_ image: UniqueIdentifier) throws(CatalogueError) {
    let hidden = images.appending(".removed-\(image)")
    try files.remove(hidden)
    try files.move(directory(of: image), to: hidden)
    try files.remove(hidden)
  }
}
