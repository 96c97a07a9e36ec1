import FrozenImage

/// What a mount is made of: an image, and the service that has it.
///
/// Written `floe+unix:SOCKETPATH/IMAGE`, `floe://HOST[:PORT]/IMAGE` or
/// `ssh://[USER@]HOST[:PORT]/IMAGE[?socket=PATH]`, where IMAGE is the last component: a name or a
/// UUID.
public struct ServiceAddress: Hashable, Sendable {
  /// Where the service listens.
  public let endpoint: ServiceEndpoint
  /// A name or a UUID.
  public let image: String

  /// - Throws: `AddressError` when the text is neither form, or names a host that is not
  ///   allowed.
  public init(_ text: String) throws(AddressError) {
    guard let scheme = ServiceScheme(of: text) else {
      throw AddressError(
        .invalid,
        "“\(text)” is not a source: write ssh://[USER@]HOST/IMAGE, floe+unix:SOCKETPATH/IMAGE or "
          + "floe://HOST[:PORT]/IMAGE")
    }
    var rest = text.dropFirst(scheme.rawValue.count)
    var query: Substring?
    if scheme == .ssh, let mark = rest.firstIndex(of: "?") {
      query = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    guard let slash = rest.lastIndex(of: "/"), rest.index(after: slash) != rest.endIndex else {
      throw AddressError(
        .invalid, "“\(text)” names no image: its last part, after a “/”, is to be one")
    }
    let place = String(rest[..<slash])
    image = String(rest[rest.index(after: slash)...])
    guard scheme == .unix || !place.contains("/") else {
      throw AddressError(.invalid, "“\(text)” has more than one part after its host")
    }
    endpoint = try ServiceEndpoint(scheme, place, query)
  }
}

/// How the address of a service begins.
enum ServiceScheme: String, CaseIterable {
  case unix = "floe+unix:"
  case loopback = "floe://"
  case ssh = "ssh://"

  /// `nil` when a text is no address.
  init?(of text: String) {
    guard let scheme = Self.allCases.first(where: { text.hasPrefix($0.rawValue) }) else {
      return nil
    }
    self = scheme
  }
}

extension ServiceEndpoint {
  /// - Parameters:
  ///   - place: a socket's path, or an authority.
  ///   - query: what follows a question mark; of ssh alone.
  fileprivate init(
    _ scheme: ServiceScheme, _ place: String, _ query: Substring?
  ) throws(AddressError) {
    switch scheme {
    case .unix: try self.init(socketPath: place)
    case .loopback: try self.init(authority: place, defaultPort: Self.defaultPort)
    case .ssh: self = .ssh(try SSHService(authority: place, query: query))
    }
  }

  /// The endpoint of an address that names no image: `ssh://HOST`, `floe+unix:SOCKET` or
  /// `floe://HOST[:PORT]`.
  ///
  /// - Throws: `AddressError`.
  public init(service text: String) throws(AddressError) {
    guard let scheme = ServiceScheme(of: text) else {
      throw AddressError(
        .invalid,
        "“\(text)” is not the address of a service: write ssh://[USER@]HOST, floe+unix:SOCKET or "
          + "floe://HOST[:PORT]")
    }
    var rest = text.dropFirst(scheme.rawValue.count)
    var query: Substring?
    if scheme == .ssh, let mark = rest.firstIndex(of: "?") {
      query = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    if rest.hasSuffix("/") { rest = rest.dropLast() }
    guard scheme == .unix || !rest.contains("/") else {
      throw AddressError(
        .invalid, "“\(text)” names an image, where the service that has the images is meant")
    }
    try self.init(scheme, String(rest), query)
  }
}

extension ServiceAddress: CustomStringConvertible {
  public var description: String {
    switch endpoint {
    case .unix(let path): "floe+unix:\(path)/\(image)"
    case .loopback: "floe://\(endpoint)/\(image)"
    case .ssh(let service): "ssh://\(service.authority)/\(image)\(service.query)"
    }
  }
}
