public import FrozenImage
import Glibc
public import HostSystem
public import SystemPackage

/// The images of a production host, in its state directory:
///
/// ```
/// id                                    the state directory's own identifier, as text
/// images/<uuid>/image.json              the record
/// images/<uuid>/representation.floe     the logical representation
/// images/<uuid>/lease.json              of a backup: how long it lives once nobody keeps it
/// images/<uuid>/sessions/<uuid>.json    one for each mount on a backup host
/// ```
///
/// Several processes use it at once. Who changes which images there are, or which
/// sessions, holds a lock on the state directory; who freezes an image holds one on
/// the image's directory, so that an image that is half frozen and locked by nobody
/// is known to be an orphan. A directory of an image appears and vanishes by one
/// rename; names that begin with a dot are leftovers of a crash in between.
public struct Catalogue: Sendable {
  /// Where the state directory is unless said otherwise.
  public static let defaultDirectory: FilePath = "/var/lib/floe"
  /// Seconds after which a session that nobody keeps is over.
  public static let sessionLifetime: Int64 = 60
  /// Most sessions of an image at once.
  public static let maximumSessions = 64

  /// The state directory.
  public let directory: FilePath
  let files: StateFiles
  let now: @Sendable () -> Timestamp

  /// - Parameter now: the time of day, against which sessions expire.
  public init(
    directory: FilePath = defaultDirectory,
    now: @escaping @Sendable () -> Timestamp = { .now }
  ) {
    self.directory = directory
    self.now = now
    files = StateFiles(root: directory)
  }

  /// Makes the state directory when it is missing, and gives it its identifier.
  ///
  /// - Throws: `CatalogueError.failed` when it cannot be made or written.
  public func create() throws(CatalogueError) {
    try files.makeDirectory(images)
    if try storedIdentifier() != nil { return }
    let held = try files.lock(directory)
    defer { try? held?.close() }
    // Another floe may have been faster.
    if try storedIdentifier() != nil { return }
    try files.write(bytes: Array("\(UniqueIdentifier.random())\n".utf8), to: identifierPath)
  }

  private var identifierPath: FilePath { directory.appending("id") }

  /// `nil` when the state directory has no identifier, or something else in its place.
  private func storedIdentifier() throws(CatalogueError) -> UniqueIdentifier? {
    guard let bytes = try files.read(identifierPath), bytes.last == UInt8(ascii: "\n") else {
      return nil
    }
    return UniqueIdentifier(String(decoding: bytes.dropLast(), as: UTF8.self))
  }

  /// What tells this state directory from every other one, wherever it is mounted.
  ///
  /// - Throws: `CatalogueError.failed` when it has none: `create` was never called, or it
  ///   is not where it was.
  public func identifier() throws(CatalogueError) -> UniqueIdentifier {
    guard let identifier = try storedIdentifier() else {
      throw .failed(
        operation: "read", path: identifierPath.string, reason: .noSuchFileOrDirectory)
    }
    return identifier
  }

  var images: FilePath { directory.appending("images") }

  func directory(of image: UniqueIdentifier) -> FilePath { images.appending(image.description) }

  func recordPath(of image: UniqueIdentifier) -> FilePath {
    directory(of: image).appending("image.json")
  }

  /// A command that means this state directory, to be typed as it stands.
  public func command(_ words: String) -> String {
    directory == Self.defaultDirectory ? "floe \(words)" : "floe \(words) --state \(directory)"
  }

  /// Where an image's representation is.
  public func representationPath(of image: UniqueIdentifier) -> FilePath {
    directory(of: image).appending("representation.floe")
  }
}

/// An image as the catalogue finds it.
public struct ImageEntry: Hashable, Sendable {
  /// What can be done with it: only a frozen image is read.
  public enum State: Hashable, Sendable {
    case frozen
    /// A floe freezes it right now.
    case beingFrozen
    /// Freezing it stopped half-way: there may be a snapshot that only `thaw` removes.
    case orphan
    /// Its record cannot be read.
    case damaged(String)
  }

  public let id: UniqueIdentifier
  /// `nil` when it is damaged.
  public let record: ImageRecord?
  /// As of the look that made this entry.
  public let state: State
  /// The mounts on backup hosts that are alive.
  public let sessions: [SessionRecord]

  /// What to call it: its name, or its UUID when the record is damaged.
  public var label: String { record?.name ?? id.description }
}

extension Catalogue {
  /// Every image, orphans and damaged ones too, in ascending order of identifiers.
  ///
  /// - Throws: `CatalogueError.failed` when the state directory cannot be read.
  public func entries() throws(CatalogueError) -> [ImageEntry] {
    var entries: [ImageEntry] = []
    for name in try files.names(in: images) {
      guard let id = UniqueIdentifier(name), let entry = try entry(for: id) else { continue }
      entries.append(entry)
    }
    return entries
  }

  /// The image of a name or a UUID.
  ///
  /// - Throws: `CatalogueError.unknownImage` when there is none.
  public func entry(named reference: String) throws(CatalogueError) -> ImageEntry {
    if let id = UniqueIdentifier(reference) {
      if let entry = try entry(for: id) { return entry }
    } else if let entry = try entries().first(where: { $0.record?.name == reference }) {
      return entry
    }
    throw .unknownImage(reference, stateDirectory: directory.string)
  }

  /// The record of an image that is frozen completely.
  ///
  /// - Throws: `CatalogueError.unknownImage`, `.incomplete` or `.damaged`.
  public func frozenRecord(of image: UniqueIdentifier) throws(CatalogueError) -> ImageRecord {
    guard let record = try record(of: image) else {
      throw .unknownImage(image.description, stateDirectory: directory.string)
    }
    guard record.phase == .frozen else { throw .incomplete(image: record.name) }
    return record
  }

  /// The names of the images that are frozen completely; those that cannot be read are left
  /// out.
  ///
  /// - Throws: `CatalogueError.failed` when the state directory cannot be read.
  public func frozenNames() throws(CatalogueError) -> [UniqueIdentifier: String] {
    var names: [UniqueIdentifier: String] = [:]
    for name in try files.names(in: images) {
      guard let id = UniqueIdentifier(name), let record = try? frozenRecord(of: id) else {
        continue
      }
      names[id] = record.name
    }
    return names
  }

  /// Whether an image that was there is forgotten; `false` as well where that cannot be told.
  public func isGone(_ image: UniqueIdentifier) -> Bool {
    access(recordPath(of: image).string, F_OK) != 0 && errno == ENOENT
  }

  /// `nil` when there is no such image.
  func record(of image: UniqueIdentifier) throws(CatalogueError) -> ImageRecord? {
    let record = try files.read(ImageRecord.self, from: recordPath(of: image))
    if let record, record.id != image {
      throw .damaged(image: image.description, reason: "it is the record of \(record.id)")
    }
    return record
  }

  /// `nil` when there is no such image (any more).
  private func entry(for image: UniqueIdentifier) throws(CatalogueError) -> ImageEntry? {
    var record: ImageRecord?
    let isOrphan: Bool
    do throws(CatalogueError) {
      record = try self.record(of: image)
      isOrphan = if record?.phase == .freezing { try !isLocked(image) } else { false }
      // Whoever held the lock may have finished in between: only what is written once
      // nobody holds it tells.
      if isOrphan { record = try self.record(of: image) }
    } catch .damaged(_, let reason) {
      return ImageEntry(
        id: image, record: nil, state: .damaged(reason), sessions: try sessions(of: image))
    }
    let state: ImageEntry.State
    switch record?.phase {
    case .frozen?: state = .frozen
    case .freezing?: state = isOrphan ? .orphan : .beingFrozen
    case nil:
      guard access(directory(of: image).string, F_OK) == 0 else { return nil }
      state = .damaged("image.json is missing")
    }
    return ImageEntry(id: image, record: record, state: state, sessions: try sessions(of: image))
  }

  /// Whether a process freezes the image right now.
  func isLocked(_ image: UniqueIdentifier) throws(CatalogueError) -> Bool {
    do throws(CatalogueError) {
      guard let probe = try files.lock(directory(of: image), shared: true, waiting: false) else {
        return true
      }
      try? probe.close()
      return false
    } catch .failed(_, _, .noSuchFileOrDirectory) {
      return false
    }
  }
}
