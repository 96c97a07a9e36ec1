import CFuse3
import FrozenImage
import Glibc
import LogicalRepresentation
import SystemPackage

extension FrozenFileSystem {
  /// Seconds for which the kernel may keep names and attributes: for ever, since a
  /// frozen image does not change. 68 years fit every type on the way to the
  /// kernel's jiffies, also where a long has 32 bits.
  static let forever = Double(Int32.max)

  /// A node's attributes as `stat` shows them.
  func status(of node: NodeIndex) throws(Errno) -> stat {
    let attributes = try metadata { () throws(RepresentationError) in try tree.attributes(of: node)
    }
    guard let size = off_t(exactly: attributes.size),
      let blocks = blkcnt_t(exactly: attributes.blocks)
    else { throw report("inode \(attributes.inode) has a size out of range", as: .ioError) }
    var status = stat()
    status.st_ino = ino_t(attributes.inode)
    status.st_mode = attributes.mode
    status.st_nlink = nlink_t(attributes.links)
    status.st_uid = attributes.owner
    status.st_gid = attributes.group
    status.st_rdev = gnu_dev_makedev(attributes.deviceMajor, attributes.deviceMinor)
    status.st_size = size
    status.st_blksize = blksize_t(tree.image.statistics.blockSize)
    status.st_blocks = blocks
    status.st_atim = attributes.accessed.timespec
    status.st_mtim = attributes.modified.timespec
    status.st_ctim = attributes.changed.timespec
    return status
  }

  /// What a lookup that found the node answers.
  func entry(of node: NodeIndex) throws(Errno) -> fuse_entry_param {
    var entry = fuse_entry_param()
    entry.ino = numbers.number(of: node)
    entry.attr = try status(of: node)
    entry.attr_timeout = Self.forever
    entry.entry_timeout = Self.forever
    return entry
  }

  func lookup(
    _ name: UnsafeRawBufferPointer, in directory: fuse_ino_t, _ reply: consuming Reply
  ) {
    let parent = numbers.node(of: directory)
    do throws(Errno) {
      let found = try metadata { () throws(RepresentationError) in
        try tree.lookup(name, in: parent)
      }
      guard let found else {
        // Number 0 with a timeout: the kernel remembers that there is no such name.
        var missing = fuse_entry_param()
        missing.entry_timeout = Self.forever
        return reply.entry(missing)
      }
      reply.entry(try entry(of: found))
    } catch {
      reply.failure(error)
    }
  }

  func attributes(of number: fuse_ino_t, _ reply: consuming Reply) {
    do throws(Errno) {
      reply.attributes(try status(of: numbers.node(of: number)), timeout: Self.forever)
    } catch {
      reply.failure(error)
    }
  }

  func symbolicLink(_ number: fuse_ino_t, _ reply: consuming Reply) {
    let node = numbers.node(of: number)
    do throws(Errno) {
      reply.bytes(
        try metadata { () throws(RepresentationError) in try tree.symbolicLinkTarget(of: node) })
    } catch {
      reply.failure(error)
    }
  }

  /// Answers `statfs` with what the source showed when it was frozen; its inodes are those
  /// of the image.
  func statistics(_ reply: consuming Reply) {
    let source = tree.image.statistics
    var statistics = statvfs()
    statistics.f_bsize = UInt(source.blockSize)
    statistics.f_frsize = UInt(source.blockSize)
    statistics.f_blocks = fsblkcnt_t(source.blocks)
    statistics.f_bfree = fsblkcnt_t(source.freeBlocks)
    statistics.f_bavail = fsblkcnt_t(source.availableBlocks)
    // Some sources count none, and what one has besides the image is of no use here.
    statistics.f_files = fsfilcnt_t(inodeCount)
    statistics.f_namemax = UInt(source.maximumNameLength)
    reply.statistics(statistics)
  }
}

extension FrozenFileSystem {
  /// The inodes of the tree that is mounted.
  private var inodeCount: UInt64 {
    tree.roots.first { $0.holds(numbers.root) }?.nodeCount ?? tree.nodeCount
  }
}

extension Timestamp {
  fileprivate var timespec: timespec {
    Glibc.timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
  }
}
