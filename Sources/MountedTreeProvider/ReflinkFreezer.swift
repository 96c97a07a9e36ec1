public import DataSets
import FileTrees
public import FrozenImage
import Glibc
import HostSystem
import ImageReader
import SystemPackage

/// Freezes a directory tree of an XFS by a copy whose files share the originals' blocks
/// (`FICLONE`), and that nobody can change: every regular file and directory of it is
/// immutable (`FS_XFLAG_IMMUTABLE`).
///
/// The copy is *per-file consistent*, not a point in time of the whole tree: each file's
/// bytes are those of one moment, because XFS holds off writes while it clones a file
/// (`xfs_reflink_remap_prep` takes both inodes' locks), but two files may be of two
/// moments between the start and the end of the copy. A file that is deleted or made
/// while the copy is made may be missing or there. Each copy notes what it is the copy of
/// (`OriginalMark`), and the image shows the original's inode number, links, change time,
/// birth time and flags; of a file that is made while the copy is made, the copy's own.
///
/// As the blocks are shared, a later write to the original goes elsewhere, and an
/// immutable file's extents never change.
public struct ReflinkFreezer: Sendable {
  /// What a copy is and is not: one sentence for people.
  public static let consistency =
    "a reflink copy is per-file consistent: each file is as it was at one moment, but not all "
    + "files at the same one"

  /// The directory of floe's own that holds copies.
  static let directoryName = ".floe"

  /// What is copied; its mount serves source and target, since older kernels clone only
  /// within one mount.
  private let source: TreeMount
  private let top: NodeHandle
  private let fileSystemID: UniqueIdentifier
  /// Where floe's directory is: beside the tree, or inside when nothing of this file
  /// system is beside it.
  private let parent: FilePath
  private let path: String

  /// Opens the directory at `path` and looks whether it can be copied so.
  ///
  /// - Throws: `StackError` that names the reason when it cannot.
  public init(path: String) throws(StackError) {
    let path = try realPath(path)
    let directory = try openTop(path)
    let found: (fileSystem: OpenFileSystem, top: NodeHandle, parent: FilePath)
    do {
      let fileSystem = try OpenFileSystem(of: directory, path: path)
      try Self.require(fileSystem, path)
      found = (
        fileSystem, try NodeHandle(of: directory), Self.parent(of: path, fileSystem)
      )
    } catch {
      try? directory.close()
      if let error = error as? Errno { throw StackError(cannot: "look at \(path)", error) }
      throw (error as? StackError) ?? StackError(error)
    }
    try? directory.close()
    source = try TreeMount(
      openTop(found.parent.string), kind: .xfs, path: found.parent.string, mayWrite: true)
    top = found.top
    fileSystemID = found.fileSystem.superblock.id
    parent = found.parent
    self.path = path
  }

  private static func require(
    _ fileSystem: OpenFileSystem, _ path: String
  ) throws(StackError) {
    guard fileSystem.kind.isXFS else {
      throw StackError(
        .unsupported,
        "\(path) is on \(fileSystem.kind.rawValue), which cannot share blocks between files; "
          + "only a directory on XFS can be frozen by a reflink copy")
    }
    guard fileSystem.superblock.hasReflinks else {
      throw StackError(
        .unsupported,
        "the XFS of \(path) was made without reflinks (mkfs.xfs -m reflink=1), so it cannot be "
          + "frozen by a reflink copy")
    }
    guard !fileSystem.mount.mountOptions.contains("ro"),
      !fileSystem.mount.superOptions.contains("ro")
    else {
      throw StackError(.unsupported, "\(path) is mounted read-only, so no copy can be made there")
    }
  }

  private static func parent(of path: String, _ fileSystem: OpenFileSystem) -> FilePath {
    let beside = FilePath(path).removingLastComponent()
    guard beside.string != path, let directory = try? openTop(beside.string) else {
      return FilePath(path)
    }
    defer { try? directory.close() }
    let found = try? OpenFileSystem(of: directory, path: beside.string)
    return found?.superblock.id == fileSystem.superblock.id
      && found?.mount.mountOptions.contains("ro") == false ? beside : FilePath(path)
  }

  /// The UUID of the file system that the copy is made on.
  public var fileSystem: String { fileSystemID.description }

  /// Where the copy will be.
  public func plannedCopyPath(for image: UniqueIdentifier) -> String {
    parent.appending(Self.directoryName).appending(image.description).string
  }

  /// Makes the copy, and waits until it is on the media.
  ///
  /// - Parameter progress: called now and then.
  /// - Throws: `StackError` that names the file; then what was made is removed again.
  public func freeze(
    as image: UniqueIdentifier, progress: (FreezeProgress) -> Void
  ) throws(StackError) -> ReflinkImage {
    let path = plannedCopyPath(for: image)
    let directory = try OwnDirectory.open(
      Self.directoryName, in: source.top, path: parent.appending(Self.directoryName).string)
    defer { try? directory.close() }
    do {
      let floe = try NodeHandle(of: directory)
      guard mkdirat(directory.rawValue, image.description, 0o700) == 0 else {
        throw StackError(cannot: "make \(path)", Errno(rawValue: errno))
      }
      let target = try NodeHandle(of: image.description.nameBytes, in: directory)
      var copy = try ReflinkCopy(on: source, from: top, to: target, leavingOut: floe)
      try copy.run(progress)
      try copy.makeImmutable()
      return ReflinkImage(
        fileSystemID: fileSystemID.description, path: path, inode: target.inode,
        generation: target.generation, source: self.path)
    } catch {
      try? Self.thaw(copyAt: path, onFileSystem: fileSystemID.description)
      if let error = error as? Errno { throw StackError(cannot: "make \(path)", error) }
      throw (error as? StackError) ?? StackError(error)
    }
  }
}
