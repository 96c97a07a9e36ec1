import CBtrfs
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import SystemPackage

/// A subvolume of a mounted btrfs, held open.
///
/// The open directory pins the mount: the file system stays mounted for as long
/// as an image of it is served, and the subvolume is the same one whatever
/// happens to its path.
final class OpenSubvolume: Sendable {
  let descriptor: FileDescriptor
  let fileSystem: FileSystemInfo
  /// For messages.
  let path: String

  /// Takes over the descriptor.
  private init(_ descriptor: FileDescriptor, _ path: String) throws(BtrfsError) {
    do {
      fileSystem = try FileSystemInfo(of: descriptor)
    } catch {
      try? descriptor.close()
      throw error
    }
    self.descriptor = descriptor
    self.path = path
  }

  deinit { try? descriptor.close() }

  /// Opens the subvolume at a path.
  ///
  /// - Throws: `BtrfsError` when the path is not the root of a btrfs subvolume.
  convenience init(path: String) throws(BtrfsError) {
    let descriptor = try openDirectory(path)
    do {
      guard isOnBtrfs(descriptor) else {
        throw BtrfsError(.unsupported, "\(path) is not on a btrfs file system")
      }
      var status = stat()
      guard fstat(descriptor.rawValue, &status) == 0 else {
        throw BtrfsError(cannot: "look at \(path)", Errno(rawValue: errno))
      }
      guard status.st_ino == InodeNumbers.root else {
        throw notASubvolume(path, status)
      }
    } catch {
      try? descriptor.close()
      throw (error as? BtrfsError) ?? BtrfsError(error)
    }
    try self.init(descriptor, path)
  }

  /// Opens a frozen image's snapshot by its ID, wherever it is now, if it has the
  /// UUID of the one that was frozen.
  ///
  /// - Throws: `SourceError.unreachable` when the file system is not mounted;
  ///   `SourceError.thawed` when the snapshot is gone.
  convenience init(_ frozen: BtrfsImage) throws(SourceError) {
    guard let id = UniqueIdentifier(frozen.fileSystemID) else {
      throw .failed("\(frozen.fileSystemID) is not the UUID of a file system")
    }
    guard let nearest = nearestDirectory(to: frozen.snapshotPath, onFileSystem: id) else {
      throw .unreachable(
        "the btrfs \(frozen.fileSystemID) is not mounted where \(frozen.snapshotPath) was")
    }
    defer { try? nearest.close() }
    let number = cbtrfs_open_inode(
      nearest.rawValue, InodeNumbers.root, frozen.subvolumeID, 0,
      O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else {
      let error = Errno(rawValue: errno)
      if error == .noSuchFileOrDirectory || error == .staleNFSFileHandle {
        throw .thawed("the snapshot \(frozen.snapshotPath) was deleted")
      }
      throw .failed("cannot open the snapshot \(frozen.snapshotPath): \(error)")
    }
    let found: SubvolumeInfo
    do {
      try self.init(FileDescriptor(rawValue: number), frozen.snapshotPath)
    } catch {
      throw .failed("\(error)")
    }
    do {
      found = try info()
    } catch {
      if error == .noSuchFileOrDirectory {
        throw .thawed("the snapshot \(frozen.snapshotPath) was deleted")
      }
      throw .failed("cannot look at the snapshot \(frozen.snapshotPath): \(error)")
    }
    guard frozen.isSnapshot(found) else {
      throw .thawed(
        "the snapshot \(frozen.snapshotPath) was deleted, and its ID is another subvolume's now")
    }
  }

  /// What the kernel says of the subvolume now.
  func info() throws(Errno) -> SubvolumeInfo { try SubvolumeInfo(of: descriptor) }

  /// The transaction that is running, or that was committed last when none runs.
  func runningGeneration() throws(BtrfsError) -> UInt64 {
    try FileSystemInfo(of: descriptor).generation
  }
}

extension BtrfsImage {
  /// Whether a subvolume is the one that was frozen.
  func isSnapshot(_ info: SubvolumeInfo) -> Bool {
    info.id == subvolumeID && info.uuid.description == subvolumeUUID
  }
}

/// Opens a directory for looking at it and below it.
func openDirectory(_ path: String) throws(BtrfsError) -> FileDescriptor {
  do {
    return try FileDescriptor.open(
      FilePath(path), .readOnly, options: [.closeOnExec, .directory])
  } catch {
    throw BtrfsError(cannot: "open \(path)", (error as? Errno) ?? .ioError)
  }
}

/// Whether a file is on btrfs (`BTRFS_SUPER_MAGIC`, linux/magic.h).
func isOnBtrfs(_ descriptor: FileDescriptor) -> Bool {
  cbtrfs_file_system_type(descriptor.rawValue) == 0x9123_683E
}

/// The directory at a path or, where there is none, at the nearest path above it;
/// `nil` unless it is on the btrfs with this UUID. The caller closes it.
func nearestDirectory(
  to path: String, onFileSystem id: UniqueIdentifier
) -> FileDescriptor? {
  var place = FilePath(path)
  while true {
    if let descriptor = try? openDirectory(place.string) {
      if isOnBtrfs(descriptor), (try? FileSystemInfo(of: descriptor))?.id == id {
        return descriptor
      }
      try? descriptor.close()
      return nil
    }
    guard place.removeLastComponent() else { return nil }
  }
}

/// What to say of a directory that is no subvolume.
///
/// - Parameter status: of the directory.
private func notASubvolume(_ path: String, _ status: stat) -> BtrfsError {
  var place = FilePath(path)
  while place.removeLastComponent() {
    var above = stat()
    guard stat(place.string, &above) == 0, above.st_dev == status.st_dev else { break }
    guard above.st_ino != InodeNumbers.root else {
      return BtrfsError(
        .invalid,
        "\(path) is a directory in the btrfs subvolume \(place), and btrfs freezes whole subvolumes: "
          + "freeze \(place)")
    }
  }
  return BtrfsError(
    .invalid,
    "\(path) is a directory in a btrfs subvolume, and btrfs freezes whole subvolumes: freeze the "
      + "subvolume, where it is mounted as a whole")
}
