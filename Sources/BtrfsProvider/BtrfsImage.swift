/// What must be remembered to find a frozen image of a btrfs again.
public struct BtrfsImage: Codable, Hashable, Sendable {
  /// The file system's UUID, as text.
  public var fileSystemID: String
  /// The snapshot's subvolume ID.
  public var subvolumeID: UInt64
  /// The snapshot's own UUID, as text: another subvolume may get the same ID later.
  public var subvolumeUUID: String
  /// Where the snapshot was when it was frozen.
  public var snapshotPath: String
  /// Whether floe made the snapshot, so that a thaw deletes it.
  public var ownsSnapshot: Bool
  /// The snapshot's `ctransid` when it was frozen: nothing may change it later
  /// but dedupe, which leaves every byte and every time stamp as it was.
  public var frozenTransaction: UInt64
  /// Whether what floe made the snapshot of was read-only before; `nil` as `false`.
  public var sourceRested: Bool?

  public init(
    fileSystemID: String, subvolumeID: UInt64, subvolumeUUID: String, snapshotPath: String,
    ownsSnapshot: Bool, frozenTransaction: UInt64
  ) {
    self.fileSystemID = fileSystemID
    self.subvolumeID = subvolumeID
    self.subvolumeUUID = subvolumeUUID
    self.snapshotPath = snapshotPath
    self.ownsSnapshot = ownsSnapshot
    self.frozenTransaction = frozenTransaction
  }
}
