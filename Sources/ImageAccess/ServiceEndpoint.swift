public import FrozenImage
import Glibc

/// Where a service listens.
public enum ServiceEndpoint: Hashable, Sendable {
  /// A Unix socket.
  case unix(path: String)
  /// A TCP port of a loopback address, as a numeral.
  case loopback(Loopback, port: UInt16)
  /// A Unix socket of another host, carried by ssh(1).
  case ssh(SSHService)

  /// The port unless said otherwise.
  public static let defaultPort: UInt16 = 7733
  /// Bytes of a Unix socket's path: sun_path of unix(7) has 108 with the zero at its end,
  /// and four are kept for the name that the socket has until it listens.
  public static let maximumPathLength = 103

  /// A Unix socket of a path.
  ///
  /// - Throws: `AddressError` when the path is empty or too long for a socket.
  public init(socketPath: String) throws(AddressError) {
    guard !socketPath.isEmpty else {
      throw AddressError(.invalid, "the path of the Unix socket is missing")
    }
    let count = PathText.bytes(of: socketPath).count
    guard count <= Self.maximumPathLength else {
      throw AddressError(
        .invalid,
        "the Unix socket's path \(socketPath) has \(count) bytes, more than the "
          + "\(Self.maximumPathLength) that a socket can have")
    }
    self = .unix(path: socketPath)
  }

  /// A TCP port, from `HOST[:PORT]` with an IPv6 address in brackets.
  ///
  /// - Throws: `AddressError` when that is no address, or one that is not this host's
  ///   loopback: there is no TLS yet.
  init(authority: String, defaultPort: UInt16?) throws(AddressError) {
    var host = authority[...]
    var portText: Substring?
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else {
        throw AddressError(.invalid, "“\(authority)” has no “]” after its IPv6 address")
      }
      host = authority[authority.index(after: authority.startIndex)..<end]
      let rest = authority[authority.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else {
        throw AddressError(.invalid, "“\(authority)” is not [ADDRESS]:PORT")
      }
      portText = rest.isEmpty ? nil : rest.dropFirst()
    } else if let colon = authority.lastIndex(of: ":") {
      host = authority[..<colon]
      portText = authority[authority.index(after: colon)...]
      guard !host.contains(":") else {
        throw AddressError(
          .invalid, "“\(authority)”: write an IPv6 address in brackets, as in [::1]:7733")
      }
    }
    guard let port = portText.map({ UInt16($0) }) ?? defaultPort else {
      throw AddressError(.invalid, "“\(authority)” has no port of 0 to 65535")
    }
    guard let loopback = Loopback(String(host)) else {
      throw AddressError(
        .invalid,
        "“\(host)” is not a loopback address (127.0.0.0/8, ::1 or localhost), and without TLS "
          + "floe speaks over no other network")
    }
    self = .loopback(loopback, port: port)
  }
}

extension ServiceEndpoint: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .loopback(.v4(let address), let port): "\(address):\(port)"
    case .loopback(.v6(let address), let port): "[\(address)]:\(port)"
    case .ssh(let service): "\(service)"
    }
  }
}

/// An address of this host that no other can reach (RFC 1122, section 3.2.1.3; RFC
/// 4291, section 2.5.3).
public enum Loopback: Hashable, Sendable {
  case v4(String)
  case v6(String)

  /// `nil` for any other address. No name but "localhost" is looked up: what a name
  /// server says cannot make an address local.
  init?(_ host: String) {
    if host == "localhost" {
      self = .v4("127.0.0.1")
      return
    }
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, host, &v4) == 1, UInt32(bigEndian: v4.s_addr) >> 24 == 127 {
      self = .v4(host)
    } else if inet_pton(AF_INET6, host, &v6) == 1,
      withUnsafeBytes(of: v6, { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 })
    {
      self = .v6("::1")
    } else {
      return nil
    }
  }
}

/// An address that makes no sense, or is not allowed; says why, in one sentence.
public struct AddressError: SentenceError {
  public let code: ErrorCode
  public let sentence: String
  public let cause: (any Error)?

  public init(code: ErrorCode, sentence: String, cause: (any Error)?) {
    self.code = code
    self.sentence = sentence
    self.cause = cause
  }
}

extension ServiceEndpoint {
  /// What `floe serve --listen` takes: `unix:PATH` or `HOST:PORT`.
  ///
  /// - Throws: `AddressError`.
  public init(listening text: String) throws(AddressError) {
    if text.hasPrefix("unix:") {
      try self.init(socketPath: String(text.dropFirst(5)))
    } else if text.contains("/") {
      throw AddressError(
        .invalid,
        "“\(text)” is neither unix:PATH nor HOST:PORT; write unix:\(text) for a Unix socket")
    } else {
      try self.init(authority: text, defaultPort: nil)
    }
  }
}
