import Glibc
package import SystemPackage

extension FileDescriptor {
  /// Fills as much of the buffer as the file has from an offset on.
  ///
  /// - Returns: the count of bytes.
  package func fill(
    _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(Errno) -> Int {
    var done = 0
    while done < buffer.count {
      let (position, overflow) = offset.addingReportingOverflow(UInt64(done))
      guard !overflow, let start = off_t(exactly: position) else { break }
      // The kernel refuses to read across the end of the largest possible file.
      let wanted = min(buffer.count - done, Int(clamping: Int64.max - Int64(start)))
      let count = Glibc.pread(
        rawValue, buffer.baseAddress?.advanced(by: done), wanted, start)
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno(rawValue: errno)
      }
      if count == 0 { break }
      done += count
    }
    return done
  }

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
