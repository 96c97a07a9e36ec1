public import FrozenImage
import HostSystem
public import SystemPackage

/// Why the catalogue cannot do what it was asked, as one sentence.
public enum CatalogueError: CodedError, Hashable {
  /// The name is not 1 to 128 of the allowed characters, or looks like a UUID.
  case invalidName(String)
  /// Another image has the name.
  case nameUsed(String)
  /// What an interrupted freeze left has the name; a command removes it.
  case nameOrphaned(String, remedy: String)
  /// No image has the name or the UUID.
  case unknownImage(String, stateDirectory: String)
  /// Backup hosts have the image mounted.
  case mounted(image: String, sessions: [SessionRecord])
  /// Backup hosts had the image mounted when the service ran last, and nobody can tell
  /// whether they still have.
  case perhapsMounted(image: String, sessions: [SessionRecord])
  /// Another floe freezes the image right now.
  case beingFrozen(image: String)
  /// Another floe thaws the image right now.
  case beingThawed(image: String)
  /// The image was never frozen completely.
  case incomplete(image: String)
  /// The image's record cannot be read.
  case damaged(image: String, reason: String)
  /// More sessions than `Catalogue.maximumSessions`.
  case tooManySessions(image: String)
  /// No space is left for the state directory.
  case full(stateDirectory: String)
  /// The state directory may not be written.
  case notWritable(path: String, reason: Errno)
  /// A system call failed.
  case failed(operation: String, path: String, reason: Errno)

  /// Names the outcome of a failed system call on a file of the state directory.
  static func system(
    _ reason: Errno, _ operation: String, _ path: FilePath, in stateDirectory: FilePath
  ) -> CatalogueError {
    switch reason {
    case .noSpace, .diskQuotaExceeded: .full(stateDirectory: stateDirectory.string)
    case .permissionDenied, .notPermitted, .readOnlyFileSystem:
      .notWritable(path: path.string, reason: reason)
    default: .failed(operation: operation, path: path.string, reason: reason)
    }
  }
}

extension CatalogueError {
  public var code: ErrorCode {
    switch self {
    case .invalidName: .invalid
    case .nameUsed, .nameOrphaned: .exists
    case .unknownImage: .notFound
    case .mounted, .perhapsMounted, .beingFrozen, .beingThawed: .inUse
    case .incomplete, .damaged: .malformed
    case .tooManySessions, .full: .noRoom
    case .notWritable: .notPermitted
    case .failed(_, _, let reason): reason.code
    }
  }

  public var cause: (any Error)? {
    switch self {
    case .notWritable(_, let reason), .failed(_, _, let reason): reason
    default: nil
    }
  }

  public var description: String {
    switch self {
    case .invalidName(let name):
      "“\(name)” cannot be an image's name: a name has 1 to \(ImageName.maximumLength) of the "
        + "characters A-Z a-z 0-9 . _ -, begins with none of . and -, and is not a UUID"
    case .nameUsed(let name): "the name “\(name)” is already used by another image"
    case .nameOrphaned(let name, let remedy):
      "a freeze of the name “\(name)” was interrupted and left an orphan: \(remedy) removes it"
    case .unknownImage(let name, let stateDirectory):
      "there is no image “\(name)” in the state directory \(stateDirectory)"
    case .mounted(let image, let sessions):
      "the image “\(image)” is mounted: \(Self.places(of: sessions)); unmount it there, wait "
        + "\(Catalogue.sessionLifetime) seconds where that host is gone, or thaw it under its "
        + "readers with --force"
    case .perhapsMounted(let image, let sessions):
      "the image “\(image)” may be mounted: \(Self.places(of: sessions)) when the service ran "
        + "last, and mounts make themselves known only through it; look there and use --force, or "
        + "let “floe serve” run for \(Catalogue.sessionLifetime) seconds"
    case .beingFrozen(let image): "the image “\(image)” is being frozen by another floe right now"
    case .beingThawed(let image): "the image “\(image)” is being thawed by another floe right now"
    case .incomplete(let image): "the image “\(image)” was never frozen completely"
    case .damaged(let image, let reason): "the record of image \(image) is damaged: \(reason)"
    case .tooManySessions(let image):
      "the image “\(image)” has \(Catalogue.maximumSessions) sessions already"
    case .full(let stateDirectory):
      "the state directory \(stateDirectory) is full: no space is left on its file system"
    case .notWritable(let path, let reason):
      "the state directory cannot be used: \(path): \(reason)"
    case .failed(let operation, let path, let reason): "cannot \(operation) \(path): \(reason)"
    }
  }

  private static func places(of sessions: [SessionRecord]) -> String {
    sessions.map { "on \($0.backupHost) at \($0.mountpoint)" }.joined(separator: ", ")
  }
}
