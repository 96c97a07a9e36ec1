import CLinuxIO
import Glibc
public import HostSystem
public import ImageReader
import SystemPackage

/// A block device or an image file, open for reading.
///
/// A block device is read with O_DIRECT: this host's page cache knows nothing of what
/// another host writes. So is a file, wherever another host may write it: on the backup
/// host, where even a disk's file system may be mounted by the production host as well;
/// and over a network or below an overlay everywhere.
public final class OpenMedium: Medium {
  public let path: String
  public let size: UInt64
  /// Device number of a block device, `nil` for a file: two paths with one number
  /// are one device.
  public let deviceNumber: UInt64?
  /// Bytes of a block device's logical sectors, in which a partition table counts; `nil`
  /// for a file.
  public let sectorSize: UInt64?
  /// Bytes to which offset, count and address of a direct read are aligned; 1 for
  /// reads through the page cache.
  let alignment: Int
  /// Whether another host may write it.
  private let isShared: Bool
  private let descriptor: Int32

  /// What opening a path gave.
  private struct Opened: Sendable {
    let descriptor: Int32
    let size: UInt64
    let alignment: Int
    let deviceNumber: UInt64?
    let sectorSize: UInt64?
  }

  /// - Parameters:
  ///   - owner: whose right to read it counts; `nil` for this process's own.
  ///   - isShared: whether another host may write it, as on a backup host.
  /// - Throws: `MediumError` when the path cannot be opened or is neither a block
  ///   device nor a regular file.
  public init(
    path: String, as owner: FileOwner? = nil, isShared: Bool = false
  ) throws(MediumError) {
    let opened: Opened
    if let owner {
      let result: Result<Opened, MediumError>
      do throws(Errno) {
        result = try owner.run {
          Result { () throws(MediumError) in try Self.opened(path, isShared: isShared) }
        }
      } catch {
        throw MediumError(
          path: path, offset: 0, reason: "whether \(owner) may read it cannot be asked: \(error)")
      }
      opened = try result.get()
      do throws(MediumError) {
        try Self.checkWay(to: opened.descriptor, path: path, for: owner)
      } catch {
        close(opened.descriptor)
        throw error
      }
    } else {
      opened = try Self.opened(path, isShared: isShared)
    }
    self.path = path
    self.isShared = isShared
    descriptor = opened.descriptor
    size = opened.size
    alignment = opened.alignment
    deviceNumber = opened.deviceNumber
    sectorSize = opened.sectorSize
  }

  private static func checkWay(
    to descriptor: Int32, path: String, for owner: FileOwner
  ) throws(MediumError) {
    guard !owner.isTrusted else { return }
    let barrier: MountEntry?
    do throws(Errno) {
      barrier = try FuseBarrier.onTheWay(to: descriptor, for: owner)
    } catch {
      throw MediumError(path: path, offset: 0, reason: "nothing tells its mounts: \(error)")
    }
    if let barrier {
      throw MediumError(
        path: path, offset: 0,
        reason: "\(Errno.permissionDenied): only who mounted \(barrier.mountpoint) enters it")
    }
  }

  private static func opened(_ path: String, isShared: Bool) throws(MediumError) -> Opened {
    func failure(_ reason: String) -> MediumError {
      MediumError(path: path, offset: 0, reason: reason)
    }
    // O_PATH first (open(2)): only opening a FIFO waits, only opening some devices acts.
    let pathOnly: Int32 = 0o10000000
    var descriptor = open(path, pathOnly | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(Errno.current.description) }
    do throws(MediumError) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw failure(Errno.current.description) }
      switch status.st_mode & S_IFMT {
      case S_IFBLK:
        descriptor = try reopen(descriptor, path: path, flags: floe_o_direct())
        var size: UInt64 = 0
        var sector: Int32 = 0
        guard floe_block_device_size(descriptor, &size) == 0,
          floe_block_device_sector_size(descriptor, &sector) == 0
        else { throw failure(Errno.current.description) }
        return Opened(
          descriptor: descriptor, size: size, alignment: max(512, Int(sector)),
          deviceNumber: UInt64(status.st_rdev), sectorSize: UInt64(clamping: sector))
      case S_IFREG:
        let isDirect = try !isCoherent(descriptor, path: path, isShared: isShared)
        descriptor = try reopen(descriptor, path: path, flags: isDirect ? floe_o_direct() : 0)
        return Opened(
          descriptor: descriptor, size: UInt64(clamping: status.st_size),
          alignment: isDirect ? 4096 : 1, deviceNumber: nil, sectorSize: nil)
      default:
        throw failure("it is neither a block device nor a regular file")
      }
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit {
    close(descriptor)
  }

  /// Opens the file behind a descriptor once more. On failure the descriptor stays the
  /// caller's.
  private static func reopen(
    _ descriptor: Int32, path: String, flags: Int32
  ) throws(MediumError) -> Int32 {
    let opened = open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC | flags)
    guard opened >= 0 else {
      let error = Errno.current
      let how = error == .invalidArgument ? "it cannot be read past the page cache: " : ""
      throw MediumError(path: path, offset: 0, reason: "\(how)\(error)")
    }
    close(descriptor)
    return opened
  }

  /// Whether the page cache sees every write to a file: all of them pass through this
  /// kernel (f_type of statfs(2), linux/magic.h). Of an overlay nothing tells whether a
  /// network lies below; and where another host may have the same disk, only memory is
  /// this host's alone.
  private static func isCoherent(
    _ descriptor: Int32, path: String, isShared: Bool
  ) throws(MediumError) -> Bool {
    var type: Int64 = 0
    guard floe_file_system_type(descriptor, &type) == 0 else {
      throw MediumError(path: path, offset: 0, reason: Errno.current.description)
    }
    return floe_is_in_memory(type) != 0 || (!isShared && floe_is_local_file_system(type) != 0)
  }

  /// Where the kernel has what was opened, without links, whatever was put in the place of
  /// its path since; `nil` when it has no name any more, or one that is not UTF-8.
  public var presentPath: String? {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/fd/\(descriptor)", &path, path.count)
    guard count > 0, count < path.count else { return nil }
    return String(validating: path[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Opens what was opened once more, whatever lies at its path by now, for reads through the
  /// page cache.
  ///
  /// - Returns: a descriptor, which the caller closes; `nil` when that fails, and where another
  ///   host may write the medium, as the page cache would not show what that wrote.
  public func reopenedForCachedReads() -> Int32? {
    guard !isShared else { return nil }
    let opened = open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC)
    return opened < 0 ? nil : opened
  }

  /// Whether this is a loop device that shows an open file.
  ///
  /// - Parameter fromItsStart: whether only one counts that shows it from the first byte on.
  func isLoopDevice(over file: OpenMedium, fromItsStart: Bool = true) -> Bool {
    var loop = floe_loop_status()
    var status = stat()
    guard deviceNumber != nil, file.deviceNumber == nil,
      floe_loop_status(descriptor, &loop) == 0, fstat(file.descriptor, &status) == 0
    else { return false }
    return (!fromItsStart || loop.offset == 0) && loop.device == UInt64(status.st_dev)
      && loop.inode == UInt64(status.st_ino)
  }

  public func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(MediumError) {
    guard let start = Int(exactly: offset), !buffer.isEmpty else {
      if buffer.isEmpty { return }
      throw failure(at: offset, "the place is beyond any medium")
    }
    guard !start.addingReportingOverflow(buffer.count).overflow else {
      throw failure(at: offset, "the place is beyond any medium")
    }
    let mask = alignment - 1
    let address = Int(bitPattern: buffer.baseAddress)
    if address & mask == 0, start & mask == 0, buffer.count & mask == 0 {
      try readAligned(into: buffer, at: start, needing: buffer.count)
    } else {
      try readThroughBounce(into: buffer, at: start)
    }
  }

  /// - Parameter needed: bytes without which the read fails; a file need not end at a
  ///   multiple of the alignment.
  private func readAligned(
    into buffer: UnsafeMutableRawBufferPointer, at start: Int, needing needed: Int
  ) throws(MediumError) {
    var done = 0
    while done < needed {
      let count = pread(
        descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done,
        start + done)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure(at: UInt64(start) + UInt64(done), Errno.current.description)
      }
      guard count > 0 else {
        throw failure(at: UInt64(start) + UInt64(done), "the medium ends there")
      }
      // After a short direct read the rest may be unaligned; the kernel gives
      // short counts only at the end of the device, which the next turn reports.
      done += count
    }
  }

  /// Reads whole aligned pieces into a buffer of our own and copies what was asked.
  private func readThroughBounce(
    into buffer: UnsafeMutableRawBufferPointer, at start: Int
  ) throws(MediumError) {
    let mask = alignment - 1
    let pieceSize = 1 << 20
    let bounce = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(pieceSize, (buffer.count + 2 * alignment) & ~mask), alignment: 4096)
    defer { bounce.deallocate() }
    var done = 0
    while done < buffer.count {
      let position = start + done
      let aligned = position & ~mask
      let skip = position - aligned
      let wanted = min(buffer.count - done, bounce.count - skip)
      let span = (skip + wanted + mask) & ~mask
      let piece = UnsafeMutableRawBufferPointer(rebasing: bounce[..<span])
      try readAligned(into: piece, at: aligned, needing: skip + wanted)
      UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + wanted])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: piece[skip..<skip + wanted]))
      done += wanted
    }
  }

  private func failure(at offset: UInt64, _ reason: String) -> MediumError {
    MediumError(path: path, offset: offset, reason: reason)
  }
}
