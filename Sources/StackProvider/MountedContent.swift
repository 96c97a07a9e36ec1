public import DataSets
import FileTrees
public import FrozenImage
import VolumeLayers

/// The file system that this host has mounted from a block device, as its superblock tells of
/// what never changes while it is mounted.
public struct MountedContent: Sendable {
  /// The file system's identifier.
  public let id: UniqueIdentifier
  /// Whether files of it may share blocks, so that copies by reflink can be made.
  public let hasReflinks: Bool
  /// What a snapshot of it must hold.
  public let content: StackPlace.Content

  /// - Parameters:
  ///   - device: its path.
  ///   - type: the kernel's type of the file system.
  /// - Returns: `nil` when floe reads none of this type.
  /// - Throws: `StackError` when the device is not to be read, holds no such file system, or one
  ///   whose data or log are on another device.
  public init?(of device: String, type: String) throws(StackError) {
    guard let kind = MountedKind(rawValue: type) else { return nil }
    let layer = try StackFinder.medium(device)
    let superblock = try MountedSuperblock(of: device, kind: kind) { offset, buffer in
      buffer.copyBytes(from: try layer.bytes(at: offset, count: buffer.count))
    }
    // It refuses what has a log or data elsewhere.
    if kind.isXFS { _ = try XFSFileSystem(on: layer, wasQuiet: true) { nil } }
    id = superblock.id
    hasReflinks = superblock.hasReflinks
    content = kind.isXFS ? .xfs : .ext
  }
}
