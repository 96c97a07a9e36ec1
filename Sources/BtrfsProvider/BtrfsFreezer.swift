public import FrozenImage
import Glibc
public import HostSystem
import ImageReader
import SystemPackage

/// Freezes a btrfs subvolume: takes a read-only snapshot of it.
///
/// A read-only subvolume gets one as well. btrfs does not look at who has files open for
/// writing when the flag is set: he goes on to write, in place where the file is
/// nodatacow, and neither a transaction nor a time tells. Only where the file system
/// itself is read-only, so that nobody can write and no snapshot be made, a read-only
/// subvolume is taken as it is.
public struct BtrfsFreezer: Sendable {
  /// The directory of floe's own that holds snapshots, beside or inside what is frozen.
  static let directoryName = ".floe"

  let source: OpenSubvolume
  /// Whether the file system itself is read-only.
  let isAtRest: Bool
  /// Where snapshots go.
  let directory: String
  /// What waits for those who write while the snapshot is made.
  let barrier: WriterBarrier

  /// Opens the subvolume at `path` and looks whether it can be frozen.
  ///
  /// - Parameter barrier: what waits for those who write while the snapshot is made.
  /// - Throws: `BtrfsError` that names the reason when it cannot.
  public init(path: String, barrier: WriterBarrier) throws {
    guard let real = realpath(path, nil) else {
      throw BtrfsError(cannot: "open \(path)", Errno(rawValue: errno))
    }
    defer { free(real) }
    let path = PathText.text(cString: real)
    source = try OpenSubvolume(path: path)
    try Self.requireKnownFeatures(of: source)
    isAtRest = try Self.isAtRest(source)
    self.barrier = barrier
    for chunk in try ChunkTree(of: source.descriptor).chunks {
      if let profile = chunk.parityProfile {
        throw BtrfsError(
          .unsupported, "\(path) has data in \(profile), which floe cannot read from the media")
      }
    }
    let parent = FilePath(path).removingLastComponent().string
    let isBeside = parent != path && Self.isSame(parent, source.fileSystem.id)
    directory = FilePath(isBeside ? parent : path).appending(Self.directoryName).string
  }

  private static func requireKnownFeatures(of source: OpenSubvolume) throws(BtrfsError) {
    let unknown = IncompatibleFeatures.unknown(
      in: try IncompatibleFeatures.bits(of: source.descriptor))
    guard unknown.isEmpty else {
      throw BtrfsError(
        .unsupported,
        "the btrfs at \(source.path) has features that floe does not know: "
          + unknown.joined(separator: ", "))
    }
    do {
      try searchRoot(of: source)
    } catch {
      guard error.errno == .notPermitted else { throw error }
      throw BtrfsError(
        .notPermitted, "reading the trees of the btrfs at \(source.path) needs root (CAP_SYS_ADMIN)"
      )
    }
  }

  private static func searchRoot(of source: OpenSubvolume) throws(BtrfsError) {
    var search = TreeSearch(of: source.descriptor, capacity: 4096)
    let key = TreeKey(object: InodeNumbers.root, type: ItemType.inode, offset: 0)
    // Tree 0 is the subvolume that the descriptor is in.
    _ = try search.items(in: 0, key...key)
  }

  private static func isSame(_ directory: String, _ fileSystem: UniqueIdentifier) -> Bool {
    guard let descriptor = try? openDirectory(directory) else { return false }
    defer { try? descriptor.close() }
    return isOnBtrfs(descriptor) && (try? FileSystemInfo(of: descriptor))?.id == fileSystem
  }

  /// The UUID of the file system that the subvolume is on, as text.
  public var fileSystemID: String { source.fileSystem.id.description }

  /// Where the snapshot will be; `nil` when the file system is read-only and the
  /// subvolume is taken as it is.
  public func plannedSnapshotPath(for image: UniqueIdentifier) -> String? {
    isAtRest ? nil : FilePath(directory).appending(image.description).string
  }
}
