import CBtrfs
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import SystemPackage

extension BtrfsFreezer {
  /// Deletes the snapshot of a frozen image, wherever it is now, if floe made it.
  /// It is no error when it is gone already.
  ///
  /// - Throws: `BtrfsError` when its file system is not mounted, or refuses to delete it.
  public static func thaw(_ frozen: BtrfsImage) throws {
    guard frozen.ownsSnapshot else { return }
    if let snapshot = try snapshot(of: frozen) { try delete(snapshot, of: frozen) }
    removeDirectory(of: frozen.snapshotPath)
  }

  /// The snapshot, proven to be the one that was frozen; `nil` when it is gone.
  private static func snapshot(of frozen: BtrfsImage) throws(BtrfsError) -> OpenSubvolume? {
    do {
      return try OpenSubvolume(frozen)
    } catch {
      switch error {
      case .thawed: return nil
      case .unreachable: throw notMounted(frozen.snapshotPath, frozen.fileSystemID)
      case .failed(let reason):
        throw BtrfsError(.failed, "cannot delete the snapshot \(frozen.snapshotPath): \(reason)")
      }
    }
  }

  /// Deletes by ID. As the snapshot is held open, its file system stays mounted, and
  /// until it is mounted anew btrfs gives no ID a second time.
  private static func delete(
    _ snapshot: OpenSubvolume, of frozen: BtrfsImage
  ) throws(BtrfsError) {
    do {
      try snapshot.descriptor.control(
        CBTRFS_SNAP_DESTROY_V2, size: Int(CBTRFS_VOL_ARGS_SIZE),
        fill: { arguments in
          arguments.setNative(CBTRFS_SUBVOL_BY_ID_FLAG, at: Int(CBTRFS_VOL_ARGS_FLAGS))
          arguments.setNative(frozen.subvolumeID, at: Int(CBTRFS_VOL_ARGS_SUBVOLID))
        }, read: { _ in })
    } catch {
      // These say that another deleted it just now.
      guard error == .noSuchFileOrDirectory || error == .staleNFSFileHandle else {
        throw BtrfsError(cannot: "delete the snapshot \(frozen.snapshotPath)", error)
      }
    }
  }

  /// Deletes a snapshot that was planned or made by a freeze that did not finish. It
  /// is no error when there is none.
  ///
  /// - Parameter fileSystem: the UUID of the file system that it was planned on, as text.
  /// - Throws: `BtrfsError` when the path is not one that floe gives snapshots, or the
  ///   file system is not mounted there: the snapshot may exist all the same.
  public static func thaw(snapshotAt path: String, onFileSystem fileSystem: String) throws {
    let place = FilePath(path)
    let parent = place.removingLastComponent()
    guard let name = place.lastComponent?.string, UniqueIdentifier(name) != nil,
      parent.lastComponent?.string == directoryName
    else {
      throw BtrfsError(.notPermitted, "\(path) is not a snapshot of floe's, so it is left alone")
    }
    guard let directory = try snapshotDirectory(parent, onFileSystem: fileSystem, for: path) else {
      return
    }
    defer { try? directory.close() }
    do {
      try directory.control(
        CBTRFS_SNAP_DESTROY_V2, size: Int(CBTRFS_VOL_ARGS_SIZE),
        fill: { arguments in
          UnsafeMutableRawBufferPointer(rebasing: arguments[Int(CBTRFS_VOL_ARGS_NAME)...])
            .copyBytes(from: name.utf8)
        }, read: { _ in })
    } catch {
      guard error == .noSuchFileOrDirectory else {
        throw BtrfsError(cannot: "delete the snapshot \(path)", error)
      }
    }
    removeDirectory(of: path)
  }

  /// Opens floe's directory; `nil` when the file system is mounted there without it.
  private static func snapshotDirectory(
    _ directory: FilePath, onFileSystem fileSystem: String, for snapshot: String
  ) throws(BtrfsError) -> FileDescriptor? {
    guard let id = UniqueIdentifier(fileSystem),
      let nearest = nearestDirectory(to: directory.string, onFileSystem: id)
    else { throw notMounted(snapshot, fileSystem) }
    // Open, it keeps the file system mounted there, so that a path which is absent
    // now is absent on that file system.
    defer { try? nearest.close() }
    let descriptor: FileDescriptor
    do {
      descriptor = try openDirectory(directory.string)
    } catch {
      guard error.errno == .noSuchFileOrDirectory else { throw error }
      return nil
    }
    guard isOnBtrfs(descriptor), (try? FileSystemInfo(of: descriptor))?.id == id else {
      try? descriptor.close()
      throw notMounted(snapshot, fileSystem)
    }
    return descriptor
  }

  private static func notMounted(_ snapshot: String, _ fileSystem: String) -> BtrfsError {
    BtrfsError(
      .notFound,
      "cannot delete the snapshot \(snapshot): the btrfs \(fileSystem) is not mounted there")
  }

  /// Removes floe's directory when no snapshot is left in it.
  private static func removeDirectory(of snapshot: String) {
    let parent = FilePath(snapshot).removingLastComponent()
    if parent.lastComponent?.string == directoryName { _ = rmdir(parent.string) }
  }
}
