import CBtrfs
import DataSets
public import FrozenImage
import Glibc
import HostSystem
import SystemPackage

extension BtrfsFreezer {
  /// Whether nobody can write to the file system: it is read-only as a whole, not one
  /// mount of it. Then the subvolume has to be read-only as well, or the image would not
  /// stay frozen when the file system is mounted for writing.
  static func isAtRest(_ source: OpenSubvolume) throws -> Bool {
    let isReadOnly: Bool
    do throws(Errno) {
      isReadOnly = try source.info().isReadOnly
    } catch {
      throw BtrfsError(cannot: "look at the subvolume \(source.path)", error)
    }
    let mount = try? FileStatus(of: source.descriptor, generation: 0).mount
    guard let mount, let entry = try MountEntry.find(mount: mount),
      entry.superOptions.contains("ro")
    else { return false }
    guard isReadOnly else {
      throw BtrfsError(
        .unsupported,
        "the btrfs of \(source.path) is mounted read-only, so that no snapshot can be made, and the "
          + "subvolume itself may be written when it is mounted otherwise: freeze a read-only "
          + "subvolume of it, or mount it for writing")
    }
    return true
  }

  /// Makes the snapshot, durable, once everybody has written who was at it; or takes the
  /// subvolume as it is.
  ///
  /// - Throws: `BtrfsError`, or `Errno` of an ioctl; a snapshot that was made is gone by then.
  public func freeze(as image: UniqueIdentifier) throws -> BtrfsImage {
    guard let path = plannedSnapshotPath(for: image) else {
      // Fails where the file system is read-only because of an error, so that what the
      // kernel shows may never have come to the media.
      try source.descriptor.commitTransaction()
      return try Self.image(of: source, isOwned: false)
    }
    try makeSnapshot(image, at: path)
    do {
      let snapshot = try OpenSubvolume(path: path)
      try awaitWriters(of: snapshot)
      try snapshot.descriptor.commitTransaction()
      var made = try Self.image(of: snapshot, isOwned: true)
      made.sourceRested = try source.info().isReadOnly
      return made
    } catch {
      try? BtrfsFreezer.thaw(snapshotAt: path, onFileSystem: fileSystemID)
      throw error
    }
  }

  /// Waits for writes that had begun before the snapshot was there. A direct write to a
  /// nodatacow file that found its extent to be its own lands there, also when the
  /// snapshot shares it by now.
  private func awaitWriters(of snapshot: OpenSubvolume) throws {
    // What is on its way lands while others may still begin to write, so that the file
    // system is frozen only for as long as the rest takes.
    guard cbtrfs_sync_file_system(snapshot.descriptor.rawValue) == 0 else {
      throw BtrfsError(cannot: "write \(source.path) to the media", Errno(rawValue: errno))
    }
    try barrier.pass(snapshot.descriptor.rawValue, path: source.path)
  }

  private func makeSnapshot(_ image: UniqueIdentifier, at path: String) throws(BtrfsError) {
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
    } catch .textFileBusy {
      throw BtrfsError(
        .inUse,
        "no snapshot of \(source.path) can be made while a swap file in it is in use (swapoff it, or "
          + "keep it in a subvolume of its own)")
    } catch {
      throw BtrfsError(cannot: "make the snapshot \(path)", error)
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
      throw BtrfsError("no snapshot of \(source.path) can be made", cause: error)
    }
  }

  private static func image(
    of subvolume: OpenSubvolume, isOwned: Bool
  ) throws(BtrfsError) -> BtrfsImage {
    do {
      let info = try subvolume.info()
      guard info.isReadOnly else {
        throw BtrfsError(.inUse, "the snapshot \(subvolume.path) is not read-only")
      }
      return BtrfsImage(
        fileSystemID: subvolume.fileSystem.id.description, subvolumeID: info.id,
        subvolumeUUID: info.uuid.description, snapshotPath: subvolume.path, ownsSnapshot: isOwned,
        frozenTransaction: info.changeTransaction)
    } catch let error as Errno {
      throw BtrfsError(cannot: "look at the snapshot \(subvolume.path)", error)
    } catch {
      throw (error as? BtrfsError) ?? BtrfsError(error)
    }
  }
}
