import CBtrfs
import FrozenImage
import Glibc
import SystemPackage

extension BtrfsFreezer {
  /// Deletes the snapshot of a frozen image, wherever it is now, if floe made it.
  /// It is no error when it is gone already.
  public static func thaw(_ frozen: BtrfsImage) throws {
    guard frozen.ownsSnapshot else { return }
    guard let id = UniqueIdentifier(frozen.fileSystemID),
      let nearest = nearestDirectory(to: frozen.snapshotPath, onFileSystem: id)
    else {
      throw BtrfsError(
        "cannot delete the snapshot \(frozen.snapshotPath): the btrfs \(frozen.fileSystemID) is "
          + "not mounted there")
    }
    defer { try? nearest.close() }
    do {
      try nearest.control(
        CBTRFS_SNAP_DESTROY_V2, size: Int(CBTRFS_VOL_ARGS_SIZE),
        fill: { arguments in
          arguments.setNative(CBTRFS_SUBVOL_BY_ID_FLAG, at: Int(CBTRFS_VOL_ARGS_FLAGS))
          arguments.setNative(frozen.subvolumeID, at: Int(CBTRFS_VOL_ARGS_SUBVOLID))
        }, read: { _ in })
    } catch {
      // These say that it is gone already.
      guard error == .noSuchFileOrDirectory || error == .staleNFSFileHandle else {
        throw BtrfsError(cannot: "delete the snapshot \(frozen.snapshotPath)", error)
      }
    }
    removeDirectory(of: frozen.snapshotPath)
  }

  /// Deletes a snapshot that was planned or made by a freeze that did not finish. It
  /// is no error when there is none.
  ///
  /// - Throws: `BtrfsError` when the path is not one that floe gives snapshots.
  public static func thaw(snapshotAt path: String) throws {
    let place = FilePath(path)
    let parent = place.removingLastComponent()
    guard let name = place.lastComponent?.string, UniqueIdentifier(name) != nil,
      parent.lastComponent?.string == directoryName
    else { throw BtrfsError("\(path) is not a snapshot of floe's, so it is left alone") }
    let directory: FileDescriptor
    do {
      directory = try openDirectory(parent.string)
    } catch {
      guard error.errno == .noSuchFileOrDirectory else { throw error }
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

  /// Removes floe's directory when no snapshot is left in it.
  private static func removeDirectory(of snapshot: String) {
    let parent = FilePath(snapshot).removingLastComponent()
    if parent.lastComponent?.string == directoryName { _ = rmdir(parent.string) }
  }
}
