public import DataSets
public import FrozenImage
public import LogicalRepresentation
import Synchronization
public import VolumeLayers

/// An ext2, ext3 or ext4 that is not mounted for writing, read from the layer that it
/// lies on: a device, a partition, a logical volume, a disk image. It is read with
/// libext2fs and needs no privilege beyond reading the layer.
///
/// **The witness** is the whole primary superblock. The kernel writes it, and waits,
/// when a file system is mounted for writing, before anything else of it can change:
/// `ext4_setup_super` counts the mount, takes its time, sets `needs_recovery` (or, where
/// there is no journal, clears `EXT4_VALID_FS`) and calls `ext4_commit_super`, which
/// writes synchronously (fs/ext4/super.c, from `__ext4_fill_super` and `__ext4_remount`);
/// the older driver does so by `ext2_setup_super` and `ext2_write_super`
/// (fs/ext2/super.c). Only a journal's replay comes earlier, and a file system that
/// needs one is refused here. While it rests, or is mounted read-only, nobody writes the
/// superblock, so no field has to be left out. (A read-only mount frees the inodes on
/// the orphan list, if there are any; nothing that is shown changes, but the witness
/// does.)
///
/// Known limit: programs that write without mounting (e2fsck, debugfs, resize2fs,
/// tune2fs) write the superblock too, but last.
public final class ExtFileSystem: Sendable {
  /// The inode number of the tree's top directory.
  public static let rootInode = UInt64(ExtTree.root)

  /// What keeps a superblock apart from every other file system's: its magic number
  /// and its UUID. The window's layer 0 is the layer that the file system lies on.
  public static let identity = [
    ProbeWindow(
      layer: 0, offset: ExtSuperblock.offset, length: ExtSuperblock.length,
      fragments: [
        Probe.Fragment(offset: ExtSuperblock.magicOffset, length: 2),
        Probe.Fragment(offset: ExtSuperblock.identifierOffset, length: 16),
      ])
  ]

  /// What changes before any block of the file system does (see above). The window's
  /// layer 0 is the layer that the file system lies on.
  public static let witness = [
    ProbeWindow(layer: 0, offset: ExtSuperblock.offset, length: ExtSuperblock.length)
  ]

  /// The layer that the file system lies on, from its byte 0.
  public let layer: Layer
  /// What `blkid` shows as its UUID.
  public let id: UniqueIdentifier
  /// What `e2label` set, often empty.
  public let label: String
  /// The bytes of the witness when the file system was opened.
  public let witnessBytes: [UInt8]
  /// What `statfs` would tell if it were mounted.
  public let statistics: FileSystemStatistics
  private let volume: Mutex<ExtVolume>

  /// Opens the file system on a layer for reading.
  ///
  /// - Parameter wasQuiet: whether the layer is a snapshot that was made while the file system
  ///   was frozen: then all of it is in its place (`freeze_super` and `sync_filesystem`,
  ///   fs/super.c), also where there is no journal and nothing says that it is.
  /// - Throws: `StackError` when there is none, when its checksums or its geometry are
  ///   wrong, when it has features that cannot be read, and when its journal was not
  ///   replayed, it has recorded errors or was not unmounted cleanly.
  public init(on layer: Layer, wasQuiet: Bool = false) throws(StackError) {
    guard layer.size >= ExtSuperblock.offset + UInt64(ExtSuperblock.length) else {
      throw StackError(.unsupported, "\(layer.title) holds no ext2, ext3 or ext4 file system")
    }
    let bytes = try layer.bytes(at: ExtSuperblock.offset, count: ExtSuperblock.length)
    let superblock = try ExtSuperblock(bytes, title: layer.title)
    try superblock.requireReadable(title: layer.title, wasQuiet: wasQuiet)
    guard superblock.blocks <= layer.size / UInt64(superblock.blockSize) else {
      throw StackError(
        .malformed,
        "the file system of \(layer.title) has \(superblock.blocks) blocks of "
          + "\(superblock.blockSize) bytes, more than the \(layer.size) bytes that are there")
    }
    let opened = try ExtVolume(layer, superblock)
    self.layer = layer
    id = superblock.id
    label = superblock.label
    witnessBytes = bytes
    statistics = opened.statistics
    volume = Mutex(opened)
  }

  /// Writes all nodes of the tree, in ascending order of inode number. Bytes of files
  /// lie in the store `Stack.topStore`. The caller finishes the representation, with
  /// `rootInode`.
  ///
  /// - Parameter progress: called now and then.
  /// - Throws: `StackError` when a structure cannot be read or is damaged, when a file
  ///   is encrypted, or when the file system was mounted or written meanwhile; what
  ///   the writer throws.
  public func describe(
    into writer: inout RepresentationWriter, progress: (FreezeProgress) -> Void
  ) throws {
    try volume.withLock { volume in
      var tree = ExtTree(volume)
      try tree.write(into: &writer, progress)
    }
    guard try isUnchanged(since: witnessBytes) else {
      throw StackError(.inUse, "\(layer.title) was mounted or written while it was described")
    }
  }

  /// Reads a regular file's bytes, through everything below. What was read counts only
  /// when `isUnchanged` says so afterwards: structures of the file system are kept in
  /// memory for a while.
  ///
  /// - Returns: the count of bytes read; fewer than asked only at the file's end.
  /// - Throws: `StackError` when the inode is no regular file or cannot be read.
  public func read(
    inode number: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) -> Int {
    do {
      return try volume.withLock { try $0.read(inode: number, offset: offset, into: buffer) }
    } catch {
      throw error as? StackError ?? StackError("cannot read inode \(number)", cause: error)
    }
  }

  /// Whether nobody mounted the file system for writing, or wrote it, since the
  /// witness had these bytes. Costs one read of 1024 bytes.
  ///
  /// - Throws: `StackError` when the superblock cannot be read.
  public func isUnchanged(since witness: [UInt8]) throws(StackError) -> Bool {
    try layer.bytes(at: ExtSuperblock.offset, count: ExtSuperblock.length) == witness
  }
}

extension ExtVolume {
  fileprivate func read(
    inode number: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    guard let short = UInt32(exactly: number), short <= superblock.inodes else {
      throw StackError(.notFound, "there is no inode \(number) in \(title)")
    }
    let inode = try inode(short)
    guard inode.attributes.type == .regular, !inode.isFree,
      inode.flags & ExtInode.Flag.encrypted == 0
    else {
      throw StackError(.invalid, "inode \(number) of \(title) is no regular file that can be read")
    }
    let size = inode.attributes.size
    guard offset < size else { return 0 }
    let count = Int(min(UInt64(buffer.count), size - offset))
    let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    guard inode.flags & ExtInode.Flag.inlineData != 0 else {
      return try read(inode, at: offset, into: wanted)
    }
    wanted.initializeMemory(as: UInt8.self, repeating: 0)
    let kept = try inlineContent(of: inode).dropFirst(Int(clamping: offset)).prefix(count)
    wanted.copyBytes(from: kept)
    return count
  }
}
