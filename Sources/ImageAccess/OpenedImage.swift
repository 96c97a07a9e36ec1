package import FrozenImage
package import HostSystem
package import ImageReader
package import LogicalRepresentation
import SystemPackage

/// Where an image comes from: a service that has it, or a file that holds its
/// representation.
package enum ImageSource: CustomStringConvertible {
  case service(ServiceAddress)
  /// An absolute path.
  case file(String)

  private static let unix = ServiceScheme.unix.rawValue

  /// Whether a text is an address of a service.
  package static func isAddress(_ text: String) -> Bool { ServiceScheme(of: text) != nil }

  /// - Throws: `Failure` or `AddressError` that says what a source can be.
  package init(_ text: String) throws {
    try SourceAdvice.checkScheme(text)
    guard text != Self.unix else {
      throw Failure(.invalid, "“\(text)” names no socket and no image: \(SourceAdvice.forms)")
    }
    // The process leaves its directory when it goes into the background, and names
    // are used again later: to connect anew, to find a medium that was lost.
    if text.hasPrefix(Self.unix) {
      // A link to a socket is meant itself, as it may lead to another one later.
      let given = text.dropFirst(Self.unix.count)
      let slash = given.lastIndex(of: "/") ?? given.startIndex
      let path =
        slash == given.startIndex
        ? HostPath.absolute(String(given))
        : HostPath.absolute(String(given[..<slash])) + given[slash...]
      try SourceAdvice.checkSocket(path)
      self = .service(try ServiceAddress(Self.unix + path))
    } else if Self.isAddress(text) {
      self = .service(try ServiceAddress(text))
    } else {
      let path = HostPath.absolute(text)
      try SourceAdvice.checkFile(path)
      self = .file(path)
    }
  }

  package var description: String {
    switch self {
    case .service(let address): address.description
    case .file(let path): path
    }
  }
}

/// An image that was opened: its representation, checked as a whole, and who answers
/// questions about it.
package struct OpenedImage {
  /// Every byte of it checked.
  package let representation: Representation
  /// Whose file the user gave; `nil` when the representation came from a service.
  package let owner: FileOwner?
  /// Whether the user gave a file that this very host's floe wrote.
  package let isFileOfThisHost: Bool
  private let way: Way

  /// How the production host is reached.
  private enum Way {
    case service(any ServiceImage)
    case late(LateService)
    case none(NoProductionHost)
  }

  /// - Parameters:
  ///   - cache: the directory that takes the representation, without a name.
  ///   - limit: how much room it may take there.
  ///   - mountpoint: where the image is to be mounted: it is kept from being thawed
  ///     from now on; `nil` when it is only looked at.
  ///   - service: the service that the user names for a file; `nil` for the one that the
  ///     file names, if its owner is trusted. An address in somebody else's file would make
  ///     root connect to wherever that user likes.
  ///   - asksNobody: whether no production host is asked, whatever a file names.
  ///   - connect: the wire.
  /// - Throws: `Failure`, `AddressError`, `ServiceError`, each of which names the source.
  package init(
    _ source: ImageSource, cache: String, limit: CacheLimit = .standard, mountpoint: String?,
    service: ServiceAddress? = nil, asksNobody: Bool = false,
    connect: @escaping ServiceConnector
  ) throws {
    switch source {
    case .service(let address) where asksNobody:
      throw Failure(
        .invalid,
        "\(address) is a service, and with --answers media none is asked: name the file of a "
          + "representation")
    case .service(let address):
      let remote: any ServiceImage
      do {
        remote = try connect(address)
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
      way = .service(remote)
      owner = nil
      isFileOfThisHost = false
    case .file(let path):
      let file: GivenFile
      (representation, file) = try Self.read(path, into: cache, limit)
      owner = file.owner
      isFileOfThisHost = file.isOfThisHost
      let named = representation.image.service
      if asksNobody {
        way = .none(NoProductionHost(unaskedOf: path))
      } else if let address = try service ?? Self.service(named, of: file) {
        way = .late(
          LateService(
            at: address, image: representation.image.id,
            mountpoint: mountpoint.map(HostPath.absolute), connect: connect))
      } else {
        way = .none(
          NoProductionHost(
            file: path, service: named.isEmpty ? nil : named, owner: file.owner))
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
    _ remote: any ServiceImage, into directory: String, _ limit: CacheLimit
  ) throws -> Representation {
    let descriptor = try remote.fetchRepresentation(into: FilePath(directory), limit: limit)
    let representation = try Representation(MappedFile(descriptor: descriptor))
    try representation.check()
    guard representation.image.id == remote.id else {
      throw Failure(
        .malformed,
        "the service gave the representation of image \(representation.image.id), not of "
          + "\(remote.id)")
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
      throw Failure("\(path)", cause: error)
    }
  }

  // MARK: - The production host

  /// Who answers questions about the image.
  package var productionHost: any ProductionHost {
    switch way {
    case .service(let service): service
    case .late(let service): service
    case .none(let nobody): nobody
    }
  }

  /// Where the production host's service is, for people.
  package var serviceName: String {
    switch way {
    case .service(let service): service.address.description
    case .late(let service): service.address.description
    case .none(let nobody): "none (mounted from \(nobody.file))"
    }
  }

  /// Whether there is a production host that could be asked.
  package var hasProductionHost: Bool {
    if case .none = way { false } else { true }
  }

  /// Whether the service was verified to run on this very host, and has the image.
  var isServiceOnThisHost: Bool {
    switch way {
    case .service(let service): service.address.isOnThisHost
    // It has to answer, too: whoever listens there may have other images.
    case .late(let service): service.address.isOnThisHost && service.isReachable
    case .none: false
    }
  }

  /// Ends the line to the service.
  package func close() {
    switch way {
    case .service(let service): service.close()
    case .late(let service): service.close()
    case .none: break
    }
  }

  // MARK: - What is in it

  /// The tree that a view shows.
  ///
  /// - Parameter view: `nil` for the files, or the volume where there are none.
  /// - Throws: `Failure` when the image has no such tree.
  package func root(_ view: Root.View?) throws(Failure) -> Root {
    let roots = representation.roots
    let wanted = view.map { [$0] } ?? [.tree, .volume]
    for view in wanted {
      if let root = roots.first(where: { $0.view == view }) { return root }
    }
    let name = representation.image.name
    throw Failure(
      .notFound,
      view == .volume
        ? "the image “\(name)” has no volume view: the volume that it lies on is not frozen"
        : "the image “\(name)” has no file tree; mount it with --view volume")
  }

  /// The volume that a tree's data lies on.
  ///
  /// - Throws: `Failure` when the representation has no volume of that number.
  package func volume(of root: Root) throws(Failure) -> VolumeDescription {
    guard representation.volumes.indices.contains(root.volume) else {
      throw Failure(
        .notFound, "the image “\(representation.image.name)” has no volume \(root.volume)")
    }
    return representation.volumes[root.volume]
  }
}

extension ServiceAddress {
  /// Whether floe itself listens there, on this very host.
  package var isOnThisHost: Bool {
    guard case .unix(let path) = endpoint else { return false }
    return LocalPeer.isThisProgram(listeningOn: path)
  }
}
