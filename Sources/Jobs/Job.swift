import FrozenImage
public import HostSystem

/// A job of the backup host's own configuration.
public struct Job: Hashable, Sendable {
  /// What production hosts ask for it by.
  public let name: String
  /// What is run over each image.
  public let command: JobCommand
  /// The user whose rights it has; the agent's own where it is `nil`.
  public var user: String?
  /// Seconds after which it is ended.
  public var timeout: UInt32 = 86_400
  /// Most runs of it at once, at least 1.
  public var atOnce = 1
  /// How often it is started again over an image when it failed.
  public var retries = 0
  /// Whether it runs once over all images of a run, each a directory of `{mount}`.
  public var isTogether = false
  /// Words for `floe mount`.
  public var mountOptions: [String] = []

  /// - Throws: `Failure` when the name is none that a path and a word of a command can have.
  public init(name: String, command: JobCommand) throws(Failure) {
    guard PathName.isValid(name) else { throw PathName.refusal("a job's name", name) }
    self.name = name
    self.command = command
  }
}

/// Names that come over the wire, or from a file, and become parts of paths and commands.
public enum PathName {
  /// Bytes.
  public static let maximumLength = 64

  /// Whether a name is 1 to 64 of A-Z a-z 0-9 . _ -, and begins with neither dot nor dash.
  public static func isValid(_ name: String) -> Bool {
    guard (1...maximumLength).contains(name.utf8.count), let first = name.utf8.first,
      first != UInt8(ascii: "."), first != UInt8(ascii: "-")
    else { return false }
    return name.utf8.allSatisfy(isPlain)
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: ".-_".utf8.contains(byte)
    }
  }

  /// A name for a path: its parts with dashes between them, and an underscore for what a name
  /// does not have.
  public static func label(of path: String) -> String {
    let parts = path.split(separator: "/").map { part in
      String(decoding: part.utf8.map { isPlain($0) ? $0 : UInt8(ascii: "_") }, as: UTF8.self)
    }
    let text = parts.joined(separator: "-").drop { $0 == "." || $0 == "-" }
    return text.isEmpty ? "root" : String(text.suffix(maximumLength).drop { ".-".contains($0) })
  }

  static func refusal(_ what: String, _ name: String) -> Failure {
    Failure(
      .invalid,
      "\(what), “\(name)”, is not 1 to \(maximumLength) of the characters A-Z a-z 0-9 . _ - with "
        + "none of . and - at its begin")
  }
}
