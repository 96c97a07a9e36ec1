public import HostSystem

/// Which media are taken because a description of them says so. What the user names is
/// taken without these questions: he chose it.
///
/// Whoever writes a description chooses every byte of it: what a medium is known by, and
/// where it lies. Without limits, root's mount would show any device or file of the host.
public struct MediumTrust: Sendable {
  /// Whose file the description comes from: a medium is taken only if he may read it.
  /// `nil` when it came from a service.
  public let owner: FileOwner?

  /// Whether a file at the path that the description records may be the medium.
  public let followsPaths: Bool

  /// What may be taken at all: a medium has to be in each.
  public let limits: [MediaPatterns]

  /// Whether the description comes from a file that this very host's floe wrote, so that the
  /// paths in it are this host's.
  public let isOfThisHost: Bool

  /// Asks whether the service of the image was verified to run on this very host, by a
  /// user whom this process trusts.
  public let isOwnHost: @Sendable () -> Bool

  /// - Parameters:
  ///   - owner: whose rights decide what the file may name; `nil` when no file named the media.
  ///   - followsPaths: whether the paths that the production host had are tried here.
  ///   - limits: what may be taken without being named; each has to allow it.
  public init(
    owner: FileOwner? = nil, followsPaths: Bool = false, isOfThisHost: Bool = false,
    limits: [MediaPatterns] = [], isOwnHost: @escaping @Sendable () -> Bool = { false }
  ) {
    self.owner = owner
    self.followsPaths = followsPaths
    self.isOfThisHost = isOfThisHost
    self.limits = limits
    self.isOwnHost = isOwnHost
  }

  func allows(_ medium: OpenMedium) -> Bool { limits.allSatisfy { $0.allow(medium) } }
}

/// How a medium came to be taken.
public enum MediumOrigin: Hashable, Sendable, CustomStringConvertible {
  /// The user named it.
  case named
  /// It carries this identifier, which no other has.
  case identifier(String)
  /// Its hardware is the recorded one.
  case hardware(String)
  /// It lies at the recorded path of this very host, whose floe told it.
  case ownHost

  public var description: String {
    switch self {
    case .named: "named with --medium"
    case .identifier(let identifier): "found by its identifier \(identifier)"
    case .hardware(let identifier): "found by its hardware, \(identifier)"
    case .ownHost: "found where this very host had it at the freeze"
    }
  }
}
