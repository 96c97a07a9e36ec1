import CKernelDevices
public import DataSets
public import FrozenImage
import Glibc
package import HostSystem
public import LogicalRepresentation
import SystemPackage
public import VolumeLayers

/// An XFS on a snapshot that nobody can write.
///
/// Its tree is described once, through a read-only mount that no path leads to and that ends
/// with this process, whatever becomes of it. The kernel says where the files lie on the
/// snapshot's device (FIEMAP), and on a snapshot that place never changes. So everything
/// that is asked later is answered by the layers below alone.
///
/// **The log.** An XFS that was frozen while the snapshot was made has everything in its
/// place (`xfs_log_quiesce`, fs/xfs/xfs_log.c: the log is forced, and what it holds is
/// written to its place), and is left with a log that looks as if it had to be replayed:
/// it is mounted without. Any other one is mounted with `ro` alone. Where the log holds
/// something, the kernel wants to replay it, cannot write to the device, and refuses
/// (`xlog_recover`, fs/xfs/xfs_log_recover.c).
public struct XFSFileSystem: StackContent {
  /// As which the kernel shows the layer.
  package struct Device: Sendable {
    let path: String
    let number: DeviceNumber
    let isReadOnly: Bool
    let isMountedWithoutLog: Bool

    /// - Parameter isMountedWithoutLog: whether this host has it mounted and did not look at its
    ///   log, which another mount of it then does not either.
    package init(
      path: String, number: DeviceNumber, isReadOnly: Bool, isMountedWithoutLog: Bool
    ) {
      self.path = path
      self.number = number
      self.isReadOnly = isReadOnly
      self.isMountedWithoutLog = isMountedWithoutLog
    }
  }

  /// How a representation names it, and the kernel and libblkid call it.
  package static let kind = "xfs"

  /// Magic and UUID.
  package static let identity = [
    ProbeWindow(
      layer: 0, offset: 0, length: XFSSuperblock.length,
      fragments: MountedSuperblock.identity(of: .xfs))
  ]

  /// The superblock. On a snapshot that cannot be written it never changes; what tells that
  /// the snapshot is still that is a witness of the layers below.
  package static let witness = [ProbeWindow(layer: 0, offset: 0, length: XFSSuperblock.length)]

  private let layer: Layer
  private let device: @Sendable () -> Device?
  private let wasQuiet: Bool
  private let superblock: XFSSuperblock

  /// - Parameters:
  ///   - layer: a snapshot that nobody can write.
  ///   - device: finds what the kernel shows the layer as on this host; `nil` where it does
  ///     not: then the tree can be neither described nor read.
  ///   - wasQuiet: whether the snapshot was made while the file system was frozen.
  /// - Throws: `StackError` when it is no XFS, or one that floe does not describe.
  package init(
    on layer: Layer, wasQuiet: Bool, device: @escaping @Sendable () -> Device?
  ) throws(StackError) {
    guard layer.size >= UInt64(XFSSuperblock.length) else {
      throw StackError(.unsupported, "\(layer.title) holds no XFS")
    }
    superblock = try XFSSuperblock(
      layer.bytes(at: 0, count: XFSSuperblock.length), title: layer.title)
    self.layer = layer
    self.device = device
    self.wasQuiet = wasQuiet
  }

  public var kind: String { Self.kind }
  public var id: UniqueIdentifier { superblock.id }
  public var label: String { superblock.label }
  public var statistics: FileSystemStatistics { superblock.statistics }
  public var identity: [ProbeWindow] { Self.identity }
  public var witness: [ProbeWindow] { Self.witness }
  public var topInode: UInt64 { superblock.rootInode }

  /// Writes every node in ascending order of inode number.
  ///
  /// - Throws: as `StackContent`, and `StackError` when the kernel does not mount it.
  public func describe(
    into writer: inout RepresentationWriter, progress: (FreezeProgress) -> Void
  ) throws {
    if wasQuiet { try requireQuiet() }
    let mount = try mounted()
    let top: NodeHandle
    do throws(Errno) {
      top = try NodeHandle(of: mount.top)
    } catch {
      throw StackError(cannot: "look at the top directory of \(layer.title)", error)
    }
    guard top.inode == topInode else {
      throw StackError(.malformed, "the superblock of the XFS of \(layer.title) is damaged")
    }
    try MountedTreeWalk(mount, top: top, path: layer.title, rest: .readOnly).describe(
      into: &writer, on: layer, progress: progress)
  }

  /// Reads a file's bytes through the kernel.
  ///
  /// - Returns: the count of bytes read: fewer than the buffer's only at the file's end.
  public func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StackError) -> Int {
    let handle = NodeHandle(inode: inode, generation: try generation(of: inode))
    // Not kept: a volume that is mounted cannot be removed.
    let mount = try mounted()
    do throws(Errno) {
      let file = try mount.open(handle, type: .regular)
      defer { try? file.close() }
      return try file.fill(buffer, at: offset)
    } catch {
      throw StackError(cannot: "read inode \(inode) of \(layer.title)", error)
    }
  }

  /// `di_gen` of the inode on the media, 92 bytes into it (`struct xfs_dinode`,
  /// fs/xfs/libxfs/xfs_format.h). What it says of an inode that is none is refused by the kernel.
  private func generation(of inode: UInt64) throws(StackError) -> UInt32 {
    guard let place = superblock.place(ofInode: inode), place < layer.size,
      layer.size - place >= 96
    else { throw StackError(.notFound, "there is no inode \(inode) in \(layer.title)") }
    return try layer.bytes(at: place + 92, count: 4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// Proves that it is mounted without its log for good reason.
  ///
  /// - Throws: `StackError` when the log holds more than a freeze leaves.
  private func requireQuiet() throws(StackError) {
    let log = try XFSLog(on: layer, at: superblock.log.start, blocks: superblock.log.blocks)
    guard try log.holdsNothing() else {
      throw StackError(
        .inUse,
        "the log of the XFS of \(layer.title) holds changes that are not in their places, so it was "
          + "written while its snapshot was made: freeze it again")
    }
  }

  private func mounted() throws(StackError) -> TreeMount {
    guard let device = device() else {
      throw StackError(
        .unsupported,
        "\(layer.title) is not active on this host, so the kernel cannot show its XFS: activate it "
          + "(lvchange -ay -K)")
    }
    guard device.isReadOnly else {
      throw StackError(
        .inUse,
        "\(device.path), which is the \(layer.title), may be written, so its XFS is not mounted: "
          + "make it read-only (lvchange -pr) and activate it anew")
    }
    guard wasQuiet || !device.isMountedWithoutLog else {
      throw StackError(
        .inUse,
        "\(device.path), which is the \(layer.title), is mounted with norecovery, so nothing tells "
          + "whether its log was replayed: unmount it, and freeze the snapshot itself")
    }
    let number = ckernel_mount_read_only(Self.kind, device.path, wasQuiet ? 1 : 0)
    guard number >= 0 else { throw refusal(Errno(rawValue: errno)) }
    let mount = try TreeMount(
      only: FileDescriptor(rawValue: number), kind: .xfs, path: layer.title)
    let status = try? FileStatus(of: mount.top, generation: 0)
    guard status?.device == device.number else {
      throw StackError(.medium, "\(device.path) is not the \(layer.title) any more")
    }
    return mount
  }

  private func refusal(_ error: Errno) -> StackError {
    switch error {
    case .readOnlyFileSystem:
      StackError(
        .inUse,
        "the log of the XFS of \(layer.title) was not replayed, so its files are not all in their "
          + "places: freeze the directory where the origin is mounted, or unmount the origin before "
          + "the snapshot is made")
    case .notPermitted, .permissionDenied:
      StackError(
        .notPermitted, "the XFS of \(layer.title) is described through a mount, which takes root")
    default: StackError(cannot: "mount the XFS of \(layer.title) read-only", error)
    }
  }
}
