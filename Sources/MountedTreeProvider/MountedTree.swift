public import DataSets
import FileTrees
public import FrozenImage
import Glibc
import ImageReader
import Media
import SystemPackage
public import VolumeLayers

/// A directory of a mounted ext2/3/4 or XFS in which nothing changes, as the kernel
/// shows it.
///
/// Accepted is what has a reason to rest: a file system that is mounted read-only as a
/// whole (a bind mount that is read-only hides a file system that may still be
/// written), as that of a storage array's snapshot mostly is; a copy that `ReflinkFreezer` made;
/// or whatever the user promises. A block device that was set read-only under a file
/// system mounted for writing is not accepted: the kernel only warns about such writes
/// and does them (`bio_check_ro`, block/blk-core.c).
///
/// What is mounted below the directory does not belong to the tree: the directories
/// that it covers are shown with their own entries.
public final class MountedTree: Sendable {
  /// What finds the tree again.
  public let image: MountedTreeImage
  /// The file system's UUID.
  public let fileSystemID: UniqueIdentifier
  /// The file system's label, often empty.
  public let label: String
  /// The block device that the file system is on, such as "/dev/dm-3". Physical
  /// addresses are bytes of it.
  public let device: String
  let mount: TreeMount
  let medium: OpenMedium

  private init(
    _ image: MountedTreeImage, _ mount: TreeMount, _ fileSystem: OpenFileSystem
  ) {
    self.image = image
    self.mount = mount
    fileSystemID = fileSystem.superblock.id
    label = fileSystem.superblock.label
    device = fileSystem.medium.path
    medium = fileSystem.medium
  }

  /// Opens the directory at `path`.
  ///
  /// - Parameter assumeFrozen: the user promises that nobody writes to the tree, or
  ///   moves its files' blocks, for as long as the image is in use.
  /// - Throws: `StackError` that names the file system when its type is another, and
  ///   what the user may do when its files may change.
  public convenience init(path: String, assumeFrozen: Bool = false) throws(StackError) {
    let path = try realPath(path)
    let directory = try openTop(path)
    let fileSystem: OpenFileSystem
    do throws(StackError) {
      fileSystem = try OpenFileSystem(of: directory, path: path)
    } catch {
      try? directory.close()
      throw error
    }
    let mount = try TreeMount(directory, kind: fileSystem.kind, path: path)
    let isReadOnly = try mount.isReadOnly()
    guard isReadOnly || assumeFrozen else { throw fileSystem.mayChange(path) }
    if !isReadOnly { try fileSystem.requireOrderedData(path) }
    try self.init(
      mount, fileSystem, path: path, promise: isReadOnly ? .readOnly : .assumed)
  }

  /// Opens a copy that floe made and that is complete.
  ///
  /// - Throws: `StackError` when it is gone or not immutable.
  public convenience init(copy: ReflinkImage) throws(StackError) {
    let image = MountedTreeImage(
      path: copy.path, fileSystem: MountedKind.xfs.rawValue, fileSystemID: copy.fileSystemID,
      inode: copy.inode, generation: copy.generation, promise: .reflinkCopy,
      superblockDigest: "")
    do throws(SourceError) {
      try self.init(image)
    } catch {
      throw StackError(error)
    }
  }

  private convenience init(
    _ mount: TreeMount, _ fileSystem: OpenFileSystem, path: String,
    promise: MountedTreeImage.Promise
  ) throws(StackError) {
    let top: NodeHandle
    do {
      top = try NodeHandle(of: mount.top)
    } catch {
      throw StackError(cannot: "look at \(path)", error)
    }
    self.init(
      MountedTreeImage(
        path: path, fileSystem: fileSystem.kind.rawValue,
        fileSystemID: fileSystem.superblock.id.description, inode: top.inode,
        generation: top.generation, promise: promise,
        superblockDigest: fileSystem.superblock.digest.description), mount, fileSystem)
  }

  /// Opens a tree that was frozen before, wherever it is now.
  ///
  /// - Throws: `SourceError.unreachable` when its file system is not mounted,
  ///   `SourceError.thawed` when it is gone or was changed.
  convenience init(_ image: MountedTreeImage) throws(SourceError) {
    guard let found = OpenFileSystem.nearest(to: image) else {
      throw .unreachable(
        "the \(image.fileSystem) \(image.fileSystemID) is not mounted where \(image.path) was")
    }
    do throws(StackError) {
      let mount = try TreeMount(found.directory, kind: found.fileSystem.kind, path: image.path)
      self.init(image, mount, found.fileSystem)
    } catch {
      throw .failed(error.description)
    }
    try liveCheck()
  }
}

// MARK: For the stack

extension MountedTree {
  var kind: MountedKind { mount.kind }

  /// What proves that a mapping held.
  ///
  /// The superblock of ext3 and ext4 changes on the media before anybody can write to a
  /// file system that was read-only, so it is a witness; those of ext2 and XFS change
  /// later. A file system that is not read-only has no witness at all.
  public var validation: Validation {
    image.promise == .readOnly && kind.announcesWriting ? .witness : .question
  }

  /// Magic and UUID in the superblock, in bytes of the file system's device (layer 0).
  public var identity: [ProbeWindow] {
    let window = MountedSuperblock.window(of: kind)
    return [
      ProbeWindow(
        layer: 0, offset: window.offset, length: window.length,
        fragments: MountedSuperblock.identity(of: kind))
    ]
  }

  /// All of the superblock; nothing when it changes while files rest, as that of a file
  /// system that is written elsewhere does.
  public var witness: [ProbeWindow] {
    guard image.promise == .readOnly else { return [] }
    let window = MountedSuperblock.window(of: kind)
    return [ProbeWindow(layer: 0, offset: window.offset, length: window.length)]
  }

  /// The volume as the representation tells it.
  ///
  /// - Parameter stack: what `device` lies on, with this tree's `identity` and `witness`.
  /// - Throws: `StackError`, `ChainError`.
  public func volume(on stack: Stack) throws -> VolumeDescription {
    VolumeDescription(
      id: fileSystemID, label: label,
      state: MappingState(configurationID: try stack.configurationID(), cursor: stack.cursor),
      map: try stack.storeMap(), media: try stack.media(), validation: validation,
      checksum: nil, checksumBlockSize: 0)
  }

  /// The inode number of the tree's top directory.
  public var topInode: UInt64 { image.inode }

  /// What `statvfs` tells of the file system.
  public var statistics: FileSystemStatistics {
    var status = statvfs()
    _ = fstatvfs(mount.top.rawValue, &status)
    return FileSystemStatistics(
      blockSize: UInt32(clamping: status.f_frsize), blocks: UInt64(status.f_blocks),
      freeBlocks: UInt64(status.f_bfree), availableBlocks: UInt64(status.f_bavail),
      files: UInt64(status.f_files), freeFiles: UInt64(status.f_ffree),
      maximumNameLength: UInt32(clamping: status.f_namemax))
  }

  /// What the user should know although nothing is wrong: one sentence each.
  public var notes: [String] {
    switch image.promise {
    case .readOnly: []
    case .assumed:
      [
        "\(image.path) is mounted read-write; that nobody changes it is promised. A file that "
          + "changes all the same can no longer be read from the image"
      ]
    case .reflinkCopy: [ReflinkFreezer.consistency]
    }
  }
}
