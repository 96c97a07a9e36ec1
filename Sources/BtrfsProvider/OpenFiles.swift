import CBtrfs
import FrozenImage
import Glibc
import HostSystem
import Synchronization
import SystemPackage

/// Opens files of a subvolume by inode number, and keeps the last ones open.
final class OpenFiles: Sendable {
  /// Most files that are kept open.
  private static let limit = 64

  private let subvolume: OpenSubvolume
  private let id: UInt64
  private let open = Mutex(LeastRecentlyUsed<UInt64, OpenFile>(limit: limit))

  /// A descriptor that is closed when nobody uses it any more.
  final class OpenFile: Sendable {
    let descriptor: FileDescriptor

    init(_ descriptor: FileDescriptor) {
      self.descriptor = descriptor
    }

    deinit { try? descriptor.close() }
  }

  init(of subvolume: OpenSubvolume, id: UInt64) {
    self.subvolume = subvolume
    self.id = id
  }

  /// Reads bytes of a regular file.
  ///
  /// A write that is under way, or whose bytes are in the page cache only, shows in
  /// no tree yet. But it sets the time stamps before it changes a byte, so the times
  /// that the file has after the read tell whether the bytes are the frozen ones.
  ///
  /// - Returns: the count of bytes read, fewer than asked only at the file's end, and
  ///   the file's times after the read.
  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(BtrfsError) -> (count: Int, times: FileTimes) {
    let file = try file(inode)
    let count: Int
    do {
      count = try file.descriptor.fill(buffer, at: offset)
    } catch {
      throw BtrfsError(
        cannot: "read inode \(inode) of \(subvolume.path) at \(offset) and behind", error)
    }
    var status = stat()
    guard fstat(file.descriptor.rawValue, &status) == 0 else {
      throw BtrfsError(
        cannot: "look at inode \(inode) of \(subvolume.path)", Errno(rawValue: errno))
    }
    return (
      count,
      FileTimes(
        modified: Timestamp(status.st_mtim), changed: Timestamp(status.st_ctim))
    )
  }

  private func file(_ inode: UInt64) throws(BtrfsError) -> OpenFile {
    if let known = open.withLock({ $0.value(for: inode) }) { return known }
    let file = OpenFile(try openInode(inode, mustBe: S_IFREG))
    open.withLock { $0.keep(file, for: inode) }
    return file
  }

  /// Opens an inode of the subvolume. The caller closes the descriptor.
  ///
  /// The handle names inode, subvolume and the inode's generation, so it never
  /// leads anywhere else, however long the file's path is.
  ///
  /// - Parameter flags: how; for reading unless said otherwise.
  func openInode(
    _ inode: UInt64, mustBe format: mode_t, flags: Int32 = O_RDONLY | cbtrfs_o_noatime
  ) throws(BtrfsError) -> FileDescriptor {
    var search = TreeSearch(of: subvolume.descriptor, capacity: 4096)
    let key = TreeKey(object: inode, type: ItemType.inode, offset: 0)
    guard inode >= InodeNumbers.root, inode <= InodeNumbers.last,
      let item = try search.items(in: id, key...key).first,
      let attributes = InodeItem(
        item.payload, inode: inode, sectorSize: subvolume.fileSystem.sectorSize)?.attributes
    else { throw BtrfsError(.notFound, "\(subvolume.path) has no inode \(inode)") }
    guard attributes.mode & S_IFMT == format else {
      throw BtrfsError(
        .invalid, "inode \(inode) of \(subvolume.path) is of another type than asked for")
    }
    let number = cbtrfs_open_inode(
      subvolume.descriptor.rawValue, inode, id,
      UInt32(truncatingIfNeeded: attributes.generation),
      flags | O_CLOEXEC | O_NOFOLLOW)
    guard number >= 0 else {
      throw BtrfsError(cannot: "open inode \(inode) of \(subvolume.path)", Errno(rawValue: errno))
    }
    return FileDescriptor(rawValue: number)
  }
}

/// The times that every write sets.
struct FileTimes: Hashable {
  let modified: Timestamp
  let changed: Timestamp

  init(modified: Timestamp, changed: Timestamp) {
    self.modified = modified
    self.changed = changed
  }

  init(_ attributes: NodeAttributes) {
    self.init(modified: attributes.modified, changed: attributes.changed)
  }
}

extension Timestamp {
  init(_ time: timespec) {
    self.init(
      seconds: Int64(time.tv_sec), nanoseconds: UInt32(clamping: min(time.tv_nsec, 999_999_999)))
  }
}
