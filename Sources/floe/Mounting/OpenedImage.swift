import FrozenImage
import HostSystem
import ImageReader
import ImageService
import Logging
import LogicalRepresentation
import SystemPackage

/// Where an image comes from: a service that has it, or a file that holds its
/// representation.
enum ImageSource: CustomStringConvertible {
  case service(ServiceAddress)
  /// An absolute path.
  case file(String)

  private static let unix = "floe+unix:"
  private static let schemes = [unix, "floe://"]

  /// Whether a text is an address of a service.
  static func isAddress(_ text: String) -> Bool { schemes.contains { text.hasPrefix($0) } }

  /// - Throws: `Failure` or `AddressError` that says what a source can be.
  init(_ text: String) throws {
    try SourceAdvice.checkScheme(text)
    // The process leaves its directory when it goes into the background, and names
    // are used again later: to connect anew, to find a medium that was lost.
    if text.hasPrefix(Self.unix) {
      let path = MountTable.absolute(String(text.dropFirst(Self.unix.count)))
      try SourceAdvice.checkSocket(path)
      self = .service(try ServiceAddress(Self.unix + path))
    } else if Self.isAddress(text) {
      self = .service(try ServiceAddress(text))
    } else {
      let path = MountTable.absolute(text)
      try SourceAdvice.checkFile(path)
      self = .file(path)
    }
  }

  var description: String {
    switch self {
    case .service(let address): address.description
    case .file(let path): path
    }
  }
}

/// An image that was opened: its representation, checked as a whole, and who answers
/// questions about it.
struct OpenedImage {
  let representation: Representation
  let questions: any ImageQuestions
  /// Whose file the user gave; `nil` when the representation came from a service.
  let owner: FileOwner?
  /// Whether the user gave a file that this very host's floe wrote.
  let isFileOfThisHost: Bool

  /// - Parameters:
  ///   - cache: the directory that takes the representation, without a name.
  ///   - limit: how much room it may take there.
  ///   - mountpoint: where the image is to be mounted: it is kept from being thawed
  ///     from now on; `nil` when it is only looked at.
  ///   - service: the service that the user names for a file; `nil` for the one that the
  ///     file names, if its owner is trusted. An address in somebody else's file would make
  ///     root connect to wherever that user likes.
  init(
    _ source: ImageSource, cache: String, limit: CacheLimit = .standard, mountpoint: String?,
    service: ServiceAddress? = nil, timeouts: RemoteImage.Timeouts
  ) throws {
    switch source {
    case .service(let address):
      let remote: RemoteImage
      do {
        remote = try RemoteImage.connect(
          to: address, timeouts: timeouts, logger: Logger(label: "floe.wire"))
      } catch {
        throw Failure.about("\(address)", alias: ["\(address.endpoint)"], error)
      }
      do {
        // Before the fetch, so that the image is not thawed under it.
        if let mountpoint { try remote.startSession(for: mountpoint) }
        representation = try Self.fetch(remote, into: cache, limit)
      } catch {
        remote.close()
        throw Failure.about("\(address)", alias: ["\(address.endpoint)"], error)
      }
      questions = remote
      owner = nil
      isFileOfThisHost = false
    case .file(let path):
      let file: GivenFile
      (representation, file) = try Self.read(path, into: cache, limit)
      owner = file.owner
      isFileOfThisHost = file.isOfThisHost
      let named = representation.image.service
      if let address = try service ?? Self.service(named, of: file) {
        questions = LateQuestions(
          to: address, image: representation.image.id,
          mountpoint: mountpoint.map(MountTable.absolute), timeouts: timeouts)
      } else {
        questions = NoQuestions(
          file: path, service: named.isEmpty ? nil : named, owner: file.owner)
      }
    }
  }

  /// The service that a file names; `nil` for none, and when its owner may have made it up.
  private static func service(_ named: String, of file: GivenFile) throws -> ServiceAddress? {
    guard !named.isEmpty, file.owner.isTrusted else { return nil }
    return try ServiceAddress(named)
  }

  /// Fetches a representation and checks all of it: its origin is not known to be good.
  private static func fetch(
    _ remote: RemoteImage, into directory: String, _ limit: CacheLimit
  ) throws -> Representation {
    let descriptor = try remote.fetchRepresentation(into: FilePath(directory), limit: limit)
    let representation = try Representation(MappedFile(descriptor: descriptor))
    try representation.check()
    guard representation.image.id == remote.summary.id else {
      throw Failure(
        "the service gave the representation of image \(representation.image.id), not of "
          + "\(remote.summary.id)")
    }
    return representation
  }

  /// Copies a representation, so that nobody can change it while it is in use, and
  /// checks all of it.
  private static func read(
    _ path: String, into directory: String, _ limit: CacheLimit
  ) throws -> (Representation, GivenFile) {
    do {
      let file = try GivenFile(FilePath(path))
      let representation = try Representation(file.copy(in: FilePath(directory), limit: limit))
      try representation.check()
      return (representation, file)
    } catch {
      throw Failure("\(path): \(error)")
    }
  }

  /// The tree that a view shows.
  ///
  /// - Parameter view: `nil` for the files, or the volume where there are none.
  func root(_ view: Root.View?) throws -> Root {
    let roots = representation.roots
    let wanted = view.map { [$0] } ?? [.tree, .volume]
    for view in wanted {
      if let root = roots.first(where: { $0.view == view }) { return root }
    }
    let name = representation.image.name
    throw Failure(
      view == .volume
        ? "the image “\(name)” has no volume view: the volume that it lies on is not frozen"
        : "the image “\(name)” has no file tree; mount it with --view volume")
  }

  func volume(of root: Root) throws -> VolumeDescription {
    guard representation.volumes.indices.contains(root.volume) else {
      throw Failure("the representation has no volume")
    }
    return representation.volumes[root.volume]
  }
}

extension RemoteImage {
  /// Tells the production host that the image is mounted here.
  func startSession(for mountpoint: String) throws(ServiceError) {
    try startSession(
      backupHost: HostName.current, mountpoint: MountTable.absolute(mountpoint))
  }
}
