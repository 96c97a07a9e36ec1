public import FrozenImage

/// A mount of an image on a backup host, in `sessions/<session>.json`. When it was
/// heard of last is the file's modification time.
public struct SessionRecord: Hashable, Sendable {
  public let id: UniqueIdentifier
  /// The backup host's name, for people.
  public let backupHost: String
  /// Where it is mounted there, for people.
  public let mountpoint: String

  public init(id: UniqueIdentifier, backupHost: String, mountpoint: String) {
    self.id = id
    self.backupHost = backupHost
    self.mountpoint = mountpoint
  }
}

extension SessionRecord: Codable {
  private enum CodingKeys: String, CodingKey {
    case id, backupHost, mountpoint
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    id = try UniqueIdentifier(in: values, forKey: .id)
    backupHost = try values.decode(String.self, forKey: .backupHost)
    mountpoint = try values.decode(String.self, forKey: .mountpoint)
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(id.description, forKey: .id)
    try values.encode(backupHost, forKey: .backupHost)
    try values.encode(mountpoint, forKey: .mountpoint)
  }
}
