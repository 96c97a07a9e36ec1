import CBtrfs
public import FrozenImage
import Glibc
import ImageReader
import LinuxIO
import SystemPackage

/// Freezes a btrfs subvolume: takes a read-only snapshot of it, or takes it as it
/// is when it is one already.
public struct BtrfsFreezer: Sendable {
  /// The directory of floe's own that holds snapshots, beside or inside what is frozen.
  static let directoryName = ".floe"

  let source: OpenSubvolume
  private let isReadOnly: Bool
  /// Where snapshots go.
  private let directory: String

  /// Opens the subvolume at `path` and looks whether it can be frozen.
  ///
  /// - Throws: `BtrfsError` that names the reason when it cannot.
  public init(path: String) throws {
    guard let real = realpath(path, nil) else {
      throw BtrfsError(cannot: "open \(path)", Errno(rawValue: errno))
    }
    defer { free(real) }
    let path = PathText.text(cString: real)
    source = try OpenSubvolume(path: path)
    try Self.requireKnownFeatures(of: source)
    do {
      isReadOnly = try source.info().isReadOnly
    } catch {
      throw BtrfsError(cannot: "look at the subvolume \(path)", error)
    }
    for chunk in try ChunkTree(of: source.descriptor).chunks {
      if let profile = chunk.parityProfile {
        throw BtrfsError(
          "\(path) has data in \(profile), which floe cannot read from the media")
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
        "the btrfs at \(source.path) has features that floe does not know: "
          + unknown.joined(separator: ", "))
    }
    do {
      try searchRoot(of: source)
    } catch {
      guard error.errno == .notPermitted else { throw error }
      throw BtrfsError(
        "reading the trees of the btrfs at \(source.path) needs root (CAP_SYS_ADMIN)",
        errno: .notPermitted)
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

  /// Where the snapshot will be; `nil` when the subvolume is read-only and is taken
  /// as it is.
  public func plannedSnapshotPath(for image: UniqueIdentifier) -> String? {
    isReadOnly ? nil : FilePath(directory).appending(image.description).string
  }

  /// Makes the snapshot, durable, or takes the subvolume as it is.
  public func freeze(as image: UniqueIdentifier) throws -> BtrfsImage {
    guard let path = plannedSnapshotPath(for: image) else {
      // Bytes that were written before it became read-only may not be in its tree yet.
      guard cbtrfs_sync_file_system(source.descriptor.rawValue) == 0 else {
        throw BtrfsError(cannot: "write \(source.path) to the media", Errno(rawValue: errno))
      }
      try source.descriptor.commitTransaction()
      return try Self.image(of: source, isOwned: false)
    }
    let parent = try openOwnDirectory()
    defer { try? parent.close() }
    let name = Array(image.description.utf8)
    do {
      try parent.control(
        CBTRFS_SNAP_CREATE_V2, size: Int(CBTRFS_VOL_ARGS_SIZE),
        fill: { arguments in
          arguments.setNative(Int64(source.descriptor.rawValue), at: Int(CBTRFS_VOL_ARGS_FD))
          arguments.setNative(CBTRFS_SUBVOL_RDONLY_FLAG, at: Int(CBTRFS_VOL_ARGS_FLAGS))
          UnsafeMutableRawBufferPointer(rebasing: arguments[Int(CBTRFS_VOL_ARGS_NAME)...])
            .copyBytes(from: name)
        }, read: { _ in })
    } catch {
      throw BtrfsError(cannot: "make the snapshot \(path)", error)
    }
    do {
      let snapshot = try OpenSubvolume(path: path)
      try snapshot.descriptor.commitTransaction()
      return try Self.image(of: snapshot, isOwned: true)
    } catch {
      try? BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: fileSystemID)
      throw error
    }
  }

  /// Opens floe's directory, which only root may look into, and makes it first
  /// where it is not there.
  private func openOwnDirectory() throws(BtrfsError) -> FileDescriptor {
    let place = FilePath(directory)
    let parent = try openDirectory(place.removingLastComponent().string)
    defer { try? parent.close() }
    do throws(StackError) {
      return try OwnDirectory.open(Self.directoryName, in: parent, path: directory)
    } catch {
      throw BtrfsError("\(error)")
    }
  }

  private static func image(
    of subvolume: OpenSubvolume, isOwned: Bool
  ) throws(BtrfsError) -> BtrfsImage {
    do {
      let info = try subvolume.info()
      guard info.isReadOnly else {
        throw BtrfsError("the snapshot \(subvolume.path) is not read-only")
      }
      return BtrfsImage(
        fileSystemID: subvolume.fileSystem.id.description, subvolumeID: info.id,
        subvolumeUUID: info.uuid.description, snapshotPath: subvolume.path, ownsSnapshot: isOwned,
        frozenTransaction: info.changeTransaction)
    } catch let error as Errno {
      throw BtrfsError(cannot: "look at the snapshot \(subvolume.path)", error)
    } catch {
      throw (error as? BtrfsError) ?? BtrfsError("\(error)")
    }
  }
}
