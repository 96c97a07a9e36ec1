import CFuse3
import FrozenImage
import Glibc
import LogicalRepresentation
import SystemPackage

/// Values of lseek(2)'s `whence` (linux/fs.h) that Swift's Glibc module leaves out.
private let seekData: Int32 = 3
private let seekHole: Int32 = 4

extension FrozenFileSystem {
  /// Answers SEEK_DATA and SEEK_HOLE; the kernel does the others itself.
  ///
  /// From the file's end on there is neither data nor a hole: ENXIO, as lseek(2)
  /// wants it and as copy tools rely on to come to an end.
  func seek(_ number: fuse_ino_t, from offset: off_t, whence: Int32, _ reply: consuming Reply) {
    let node = numbers.node(of: number)
    guard let start = UInt64(exactly: offset) else { return reply.failure(.noSuchAddressOrDevice) }
    do throws(Errno) {
      let found = try metadata { () throws(RepresentationError) -> UInt64? in
        switch whence {
        case seekData: try tree.nextData(of: node, from: start)
        default: try tree.nextHole(of: node, from: start)
        }
      }
      guard whence == seekData || whence == seekHole else {
        return reply.failure(.invalidArgument)
      }
      guard let found, let position = off_t(exactly: found) else {
        return reply.failure(.noSuchAddressOrDevice)
      }
      reply.position(position)
    } catch {
      reply.failure(error)
    }
  }
}
