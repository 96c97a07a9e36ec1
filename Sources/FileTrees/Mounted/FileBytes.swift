import Glibc
import HostSystem
package import SystemPackage

extension FileDescriptor {
  /// Bytes of a file, fewer than asked for at its end.
  package func bytes(at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { room.deallocate() }
    return Array(room.prefix(try fill(room, at: offset)))
  }

  /// The target of an open symbolic link, with a NUL at its end.
  package func linkTarget() throws(Errno) -> [CChar] {
    var target = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlinkat(rawValue, "", &target, target.count)
    guard count >= 0 else { throw Errno(rawValue: errno) }
    return target.prefix(count) + [0]
  }
}

extension String {
  /// As a file's name, with a NUL at its end.
  package var nameBytes: [CChar] { utf8.map { CChar(bitPattern: $0) } + [0] }
}
