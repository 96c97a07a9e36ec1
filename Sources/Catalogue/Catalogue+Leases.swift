public import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// How long an image lives once nobody keeps it: that of a backup, which may be killed before it
/// thaws what it froze. When it was kept last is the modification time of its file.
public struct Lease: Hashable, Sendable, Codable {
  /// Seconds, at least 1.
  public let seconds: UInt32
  /// Who has it, for people.
  public let holder: String

  public init(seconds: UInt32, holder: String) {
    self.seconds = seconds
    self.holder = holder
  }
}

/// A lease as it stands now.
public struct LeaseState: Hashable, Sendable {
  /// As it was given.
  public let lease: Lease
  /// Seconds until it is over, unless it is kept; 0 when it is over.
  public let left: UInt32
}

extension Catalogue {
  private func leasePath(of image: UniqueIdentifier) -> FilePath {
    directory(of: image).appending("lease.json")
  }

  /// Gives an image a lease, or keeps the one that it has.
  ///
  /// - Throws: `CatalogueError` when it cannot be written, `.unknownImage` when the image is gone.
  public func keep(_ lease: Lease, on image: UniqueIdentifier) throws {
    try files.withStateLock {
      guard access(directory(of: image).string, F_OK) == 0 else {
        throw CatalogueError.unknownImage(image.description, stateDirectory: directory.string)
      }
      let path = leasePath(of: image)
      if (try? files.read(Lease.self, from: path)) != lease { try files.write(lease, to: path) }
      try touch(path)
    }
  }

  /// Takes an image's lease away: it stays until somebody thaws it.
  ///
  /// - Throws: `CatalogueError` when it cannot be removed.
  public func endLease(of image: UniqueIdentifier) throws {
    try files.withStateLock { try files.remove(leasePath(of: image)) }
  }

  /// The lease of an image; `nil` without one, or when it cannot be read: such an image stays.
  public func lease(of image: UniqueIdentifier) -> LeaseState? {
    let path = leasePath(of: image)
    var status = stat()
    guard let lease = try? files.read(Lease.self, from: path), stat(path.string, &status) == 0
    else { return nil }
    let (age, overflow) = now().seconds.subtractingReportingOverflow(Int64(status.st_mtim.tv_sec))
    // A clock that was set back counts by its distance, as with sessions.
    let left = overflow ? 0 : Int64(lease.seconds) - Int64(clamping: age.magnitude)
    return LeaseState(lease: lease, left: UInt32(clamping: max(left, 0)))
  }

  /// Thaws every image whose lease is over and that nobody has mounted.
  ///
  /// - Parameters:
  ///   - release: as `thaw` has it.
  ///   - done: gets the label of each, and why it is there still, where it is.
  /// - Throws: `CatalogueError` when the images cannot be listed.
  public func thawExpired(
    release: (ImageRecord) throws -> Void, done: (String, (any Error)?) -> Void
  ) throws(CatalogueError) {
    for entry in try entries() where lease(of: entry.id)?.left == 0 {
      guard entry.sessions.isEmpty, entry.state != .beingFrozen else { continue }
      do {
        // One that vanished meanwhile was thawed by somebody else.
        try thaw(entry.id.description, force: false, release: release)
        done(entry.label, nil)
      } catch CatalogueError.unknownImage, CatalogueError.mounted, CatalogueError.beingThawed,
        CatalogueError.perhapsMounted
      {
        continue
      } catch {
        done(entry.label, error)
      }
    }
  }
}
