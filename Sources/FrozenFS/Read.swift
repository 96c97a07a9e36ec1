import CFuse3
import FrozenImage
import Glibc
import ImageReader
import LogicalRepresentation
import SystemPackage

extension FrozenFileSystem {
  /// Answers an open.
  ///
  /// The kernel would open files without asking, if the answer were ENOSYS, and a small
  /// file would be copied with one request rather than three. But root may make the mount
  /// writable for the kernel (`mount -o remount,rw`), and a shared writable mapping of a
  /// file that was opened unasked changes the pages that every other reader is shown
  /// (`fuse_page_mkwrite` in fs/fuse/file.c asks nobody). An open for writing that is
  /// refused leaves nothing to map.
  func open(_ file: fuse_file_info, _ reply: consuming Reply) {
    guard file.flags & O_ACCMODE == O_RDONLY else { return reply.failure(.readOnlyFileSystem) }
    var file = file
    // Pages stay right from one open to the next, and nothing waits to be written.
    file.keep_cache = 1
    file.noflush = 1
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
