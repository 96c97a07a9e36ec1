import DataSets
import FileTrees
import FrozenImage
import Glibc
import HostSystem
import ImageReader
import Media
import SystemPackage

/// The file system that a directory is on, and its block device.
struct OpenFileSystem {
  let kind: MountedKind
  let mount: MountEntry
  let medium: OpenMedium
  let superblock: MountedSuperblock

  /// - Parameters:
  ///   - directory: open.
  ///   - path: for messages.
  /// - Throws: `StackError` when it is of another type than ext2/3/4 and XFS, which is
  ///   named, or its device cannot be read.
  init(of directory: FileDescriptor, path: String) throws(StackError) {
    // Many file systems have no inode flags, so this comes first.
    if let foreign = try ForeignFileSystem(of: directory) { throw foreign.refusal(of: path) }
    let status: FileStatus
    do throws(Errno) {
      status = try FileStatus(of: directory, generation: 0)
    } catch {
      throw StackError(cannot: "look at \(path) as at a directory of ext4 or XFS", error)
    }
    guard status.mount != 0, let mount = try MountEntry.find(mount: status.mount) else {
      throw StackError(
        .unsupported, "the mount of \(path) is not in /proc/self/mountinfo (this takes Linux 5.8)")
    }
    guard let kind = MountedKind(rawValue: mount.type) else {
      throw StackError(.unsupported, "\(path) is on \(mount.type), which floe does not read")
    }
    let device = try BlockDevice.path(major: status.device.major, minor: status.device.minor)
    do throws(MediumError) {
      medium = try OpenMedium(path: device)
    } catch {
      throw StackError(error)
    }
    guard medium.deviceNumber == status.device.packed else {
      throw StackError(.medium, "\(device) is not the device that \(path) is on")
    }
    superblock = try Self.superblock(on: medium, kind: kind)
    self.kind = kind
    self.mount = mount
  }

  static func superblock(
    on medium: OpenMedium, kind: MountedKind
  ) throws(StackError) -> MountedSuperblock {
    try MountedSuperblock(of: medium.path, kind: kind) { offset, buffer in
      try medium.read(into: buffer, at: offset)
    }
  }

  /// Why a tree cannot be taken as it is, and what the user may do.
  func mayChange(_ path: String) -> StackError {
    let hidden = mount.mountOptions.contains("ro") ? " (only this mount of it is read-only)" : ""
    let copy = kind.isXFS && superblock.hasReflinks ? ", let floe make a reflink copy" : ""
    return StackError(
      .inUse,
      "\(path) is on the \(kind.rawValue) of \(medium.path), which is mounted read-write\(hidden), "
        + "so its files may change: remount it read-only, freeze a snapshot that the storage "
        + "array made of its device\(copy), or promise with --assume-frozen that nobody writes there"
    )
  }

  /// With data=journal, data that was written lies in the journal and reaches its place
  /// later, so what FIEMAP tells is not yet true.
  func requireOrderedData(_ path: String) throws(StackError) {
    if mount.superOptions.contains("data=journal") {
      throw StackError(
        .unsupported,
        "\(path) is on the \(kind.rawValue) of \(medium.path), which keeps data in its journal "
          + "(data=journal): remount it read-only")
    }
  }

  /// A directory at or above the place of a tree that was frozen, if it is on the same
  /// file system. The caller closes it.
  static func nearest(
    to image: MountedTreeImage
  ) -> (directory: FileDescriptor, fileSystem: OpenFileSystem)? {
    var place = FilePath(image.path)
    while true {
      if let directory = try? openTop(place.string) {
        if let found = try? OpenFileSystem(of: directory, path: place.string),
          found.superblock.id.description == image.fileSystemID
        {
          return (directory, found)
        }
        try? directory.close()
        return nil
      }
      guard place.removeLastComponent() else { return nil }
    }
  }
}

/// Opens a directory that the user names.
func openTop(_ path: String) throws(StackError) -> FileDescriptor {
  do {
    return try FileDescriptor.open(
      FilePath(path), .readOnly, options: [.closeOnExec, .directory])
  } catch {
    throw StackError(cannot: "open \(path)", (error as? Errno) ?? .ioError)
  }
}

/// An absolute path without links.
func realPath(_ path: String) throws(StackError) -> String {
  guard let real = realpath(path, nil) else {
    throw StackError(cannot: "open \(path)", Errno(rawValue: errno))
  }
  defer { free(real) }
  return PathText.text(cString: real)
}
