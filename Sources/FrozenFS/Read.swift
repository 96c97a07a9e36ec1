import CFuse3
import FrozenImage
import Glibc
import ImageReader
import Synchronization
import SystemPackage

extension FrozenFileSystem {
  /// Answers an open.
  ///
  /// There is nothing to do for one, and the kernel may know: ENOSYS tells it to open
  /// and close files without asking from then on, and to keep their pages. It saves
  /// two of the three requests that copying a small file takes. Directories are
  /// opened by asking all the same, so that walking a mount whose process is gone
  /// fails at once.
  func open(_ file: fuse_file_info, _ reply: consuming Reply) {
    guard file.flags & O_ACCMODE == O_RDONLY else { return reply.failure(.readOnlyFileSystem) }
    if mayOpenUnasked.load(ordering: .relaxed) { return reply.failure(.noFunction) }
    var file = file
    file.keep_cache = 1
    reply.open(file)
  }

  /// Answers a read of at most `size` bytes.
  func read(_ number: fuse_ino_t, size: Int, at offset: off_t, _ reply: consuming Reply) {
    guard let start = UInt64(exactly: offset) else { return reply.failure(.invalidArgument) }
    let node = numbers.node(of: number)
    // The closure cannot consume what it captures, so the reply goes in through an
    // optional.
    var pending: Reply? = reply
    buffers.withBuffer(of: size) { buffer in
      guard let reply = pending.take() else { return }
      do throws(Errno) {
        let count = try fill(buffer, from: node, at: start)
        reply.bytes(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      } catch {
        reply.failure(error)
      }
    }
  }

  /// Fills a buffer with a file's bytes; gives their count, which is less than the
  /// buffer's only at the file's end.
  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, from node: NodeIndex, at offset: UInt64
  ) throws(Errno) -> Int {
    let count: Int
    do throws(ReadError) {
      count = try contents.read(node, at: offset, into: buffer)
    } catch {
      // Whoever reads the contents logs why, with the place.
      switch error {
      case .thawed: throw Errno(rawValue: ESTALE)
      case .unreadable: throw .ioError
      }
    }
    if count == buffer.count { return count }
    // The kernel shows zeros for what a short answer lacks, so it must be proved that
    // the file ends here.
    let attributes = try metadata { () throws(RepresentationError) in try tree.attributes(of: node)
    }
    guard (0..<buffer.count).contains(count),
      max(attributes.size, offset) <= offset.addingReportingOverflow(UInt64(count)).partialValue
    else {
      throw report(
        "inode \(attributes.inode): a read at byte \(offset) gave \(count) bytes, too few",
        as: .ioError)
    }
    return count
  }
}
