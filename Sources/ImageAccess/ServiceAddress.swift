import FrozenImage

/// What a mount is made of: an image, and the service that has it.
///
/// Written `floe+unix:SOCKETPATH/IMAGE` or `floe://HOST[:PORT]/IMAGE`, where IMAGE is the
/// last component: a name or a UUID.
public struct ServiceAddress: Hashable, Sendable {
  /// Where the service listens.
  public let endpoint: ServiceEndpoint
  /// A name or a UUID.
  public let image: String

  /// - Throws: `AddressError` when the text is neither form, or names a host that is not
  ///   allowed.
  public init(_ text: String) throws(AddressError) {
    let rest: Substring
    let isUnix = text.hasPrefix("floe+unix:")
    if isUnix {
      rest = text.dropFirst("floe+unix:".count)
    } else if text.hasPrefix("floe://") {
      rest = text.dropFirst("floe://".count)
    } else {
      throw AddressError(
        .invalid,
        "“\(text)” is not a source: write floe+unix:SOCKETPATH/IMAGE or floe://HOST[:PORT]/IMAGE")
    }
    guard let slash = rest.lastIndex(of: "/"), rest.index(after: slash) != rest.endIndex else {
      throw AddressError(
        .invalid, "“\(text)” names no image: its last part, after a “/”, is to be one")
    }
    let place = String(rest[..<slash])
    image = String(rest[rest.index(after: slash)...])
    if isUnix {
      endpoint = try ServiceEndpoint(socketPath: place)
    } else {
      guard !place.contains("/") else {
        throw AddressError(.invalid, "“\(text)” has more than one part after its host")
      }
      endpoint = try ServiceEndpoint(authority: place, defaultPort: ServiceEndpoint.defaultPort)
    }
  }
}

extension ServiceAddress: CustomStringConvertible {
  public var description: String {
    switch endpoint {
    case .unix(let path): "floe+unix:\(path)/\(image)"
    case .loopback: "floe://\(endpoint)/\(image)"
    }
  }
}
