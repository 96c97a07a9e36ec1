import FrozenImage

/// A Unix socket of another host, which the user's own OpenSSH carries here.
///
/// Written `ssh://[USER@]HOST[:PORT]/IMAGE[?socket=PATH]`. HOST may be any name that ssh(1)
/// knows, one of `~/.ssh/config` too.
public struct SSHService: Hashable, Sendable {
  /// Where `floe serve` listens unless it was told otherwise.
  public static let defaultSocket = "/var/lib/floe/floe.sock"

  /// `[USER@]HOST[:PORT]`, as ssh(1) takes it behind `ssh://`.
  public let authority: String
  /// The service's socket on that host: an absolute path.
  public let socket: String

  /// - Throws: `AddressError` when the host's name or the path could mean something else to
  ///   ssh(1) than a host and a socket.
  public init(authority: String, socket: String = Self.defaultSocket) throws(AddressError) {
    guard Self.isPlain(authority) else {
      throw AddressError(
        .invalid,
        "“\(authority)” is not [USER@]HOST[:PORT]; an IPv6 address stands in brackets")
    }
    guard socket.hasPrefix("/"), socket.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
      !socket.contains(":")
    else {
      throw AddressError(
        .invalid, "“\(socket)” is not the absolute path of a socket without blanks and colons")
    }
    self.authority = authority
    self.socket = socket
  }

  /// Whether every part is made of what names and addresses are made of, and none looks like an
  /// option.
  private static func isPlain(_ authority: String) -> Bool {
    let parts = authority.split(separator: "@", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count) else { return false }
    return parts.allSatisfy { part in
      !part.isEmpty && !part.hasPrefix("-")
        && part.utf8.allSatisfy { byte in
          (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || ".-_:[]".utf8.contains(byte)
        }
    }
  }

  /// What follows an image's name; empty for the usual socket.
  var query: String { socket == Self.defaultSocket ? "" : "?socket=\(socket)" }

  /// - Parameter query: what follows the question mark of an address; `nil` where there is none.
  init(authority: String, query: Substring?) throws(AddressError) {
    guard let query else {
      try self.init(authority: authority)
      return
    }
    guard query.hasPrefix("socket=") else {
      throw AddressError(.invalid, "“?\(query)” is not ?socket=PATH")
    }
    try self.init(authority: authority, socket: String(query.dropFirst("socket=".count)))
  }
}

extension SSHService: CustomStringConvertible {
  public var description: String { "ssh://\(authority)\(query)" }
}
