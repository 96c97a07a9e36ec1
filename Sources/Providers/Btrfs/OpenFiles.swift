import CBtrfs
import FrozenImage
import Glibc
import Synchronization
import SystemPackage

/// Opens files of a subvolume by inode number, and keeps the last ones open.
final class OpenFiles: Sendable {
  /// Most files that are kept open.
  private static let limit = 64

  private let subvolume: OpenSubvolume
  private let id: UInt64
  private let open = Mutex<(files: [UInt64: Entry], clock: UInt64)>(([:], 0))

  private struct Entry {
    let file: OpenFile
    var lastUse: UInt64
  }

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
  /// - Returns: the count of bytes read; fewer than asked only at the file's end.
  func read(
    inode: UInt64, offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(BtrfsError) -> Int {
    let file = try file(inode)
    var done = 0
    while done < buffer.count {
      let (position, overflow) = offset.addingReportingOverflow(UInt64(done))
      guard !overflow, let start = Int64(exactly: position) else { break }
      do {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
        let count = try file.descriptor.read(fromAbsoluteOffset: start, into: rest)
        if count == 0 { break }
        done += count
      } catch {
        throw BtrfsError(
          cannot: "read inode \(inode) of \(subvolume.path) at \(position)",
          (error as? Errno) ?? .ioError)
      }
    }
    return done
  }

  private func file(_ inode: UInt64) throws(BtrfsError) -> OpenFile {
    let known: OpenFile? = open.withLock { open in
      open.clock += 1
      open.files[inode]?.lastUse = open.clock
      return open.files[inode]?.file
    }
    if let known { return known }
    let file = OpenFile(try openInode(inode, mustBe: S_IFREG))
    open.withLock { open in
      if open.files.count >= Self.limit,
        let oldest = open.files.min(by: { $0.value.lastUse < $1.value.lastUse })?.key
      {
        open.files[oldest] = nil
      }
      open.clock += 1
      open.files[inode] = Entry(file: file, lastUse: open.clock)
    }
    return file
  }

  /// Opens an inode of the subvolume. The caller closes the descriptor.
  ///
  /// The handle names inode, subvolume and the inode's generation, so it never
  /// leads anywhere else, however long the file's path is.
  func openInode(_ inode: UInt64, mustBe format: mode_t) throws(BtrfsError) -> FileDescriptor {
    var search = TreeSearch(of: subvolume.descriptor, capacity: 4096)
    let key = TreeKey(object: inode, type: ItemType.inode, offset: 0)
    guard inode >= InodeNumbers.root, inode <= InodeNumbers.last,
      let item = try search.items(in: id, key...key).first,
      let attributes = InodeItem(
        item.payload, inode: inode, sectorSize: subvolume.fileSystem.sectorSize)?.attributes
    else { throw BtrfsError("\(subvolume.path) has no inode \(inode)") }
    guard attributes.mode & S_IFMT == format else {
      throw BtrfsError("inode \(inode) of \(subvolume.path) is of another type than asked for")
    }
    let number = cbtrfs_open_inode(
      subvolume.descriptor.rawValue, inode, id,
      UInt32(truncatingIfNeeded: attributes.generation),
      O_RDONLY | O_CLOEXEC | cbtrfs_o_noatime | O_NOFOLLOW)
    guard number >= 0 else {
      throw BtrfsError(cannot: "open inode \(inode) of \(subvolume.path)", Errno(rawValue: errno))
    }
    return FileDescriptor(rawValue: number)
  }
}
