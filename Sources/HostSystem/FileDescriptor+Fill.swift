import Glibc
public import SystemPackage

extension FileDescriptor {
  /// Fills as much of the buffer as the file has from an offset on.
  ///
  /// - Parameter offset: bytes from the file's start.
  /// - Returns: the count of bytes.
  /// - Throws: what pread(2) reports.
  public func fill(
    _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
  ) throws(Errno) -> Int {
    var done = 0
    while done < buffer.count {
      let (position, overflow) = offset.addingReportingOverflow(UInt64(done))
      guard !overflow, let start = off_t(exactly: position) else { break }
      // The kernel refuses to read across the end of the largest possible file.
      let wanted = min(buffer.count - done, Int(clamping: Int64.max - Int64(start)))
      let count = Glibc.pread(rawValue, buffer.baseAddress?.advanced(by: done), wanted, start)
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno.current
      }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// Writes all bytes of the buffer.
  ///
  /// - Parameter offset: bytes from the file's start; it grows as needed.
  /// - Throws: what pwrite(2) reports; `fileTooLarge` beyond what an offset can be.
  public func write(
    all buffer: UnsafeRawBufferPointer, at offset: UInt64
  ) throws(Errno) {
    var done = 0
    while done < buffer.count {
      let (position, overflow) = offset.addingReportingOverflow(UInt64(done))
      guard !overflow, let start = off_t(exactly: position) else { throw .fileTooLarge }
      let count = Glibc.pwrite(
        rawValue, buffer.baseAddress?.advanced(by: done), buffer.count - done, start)
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno.current
      }
      // pwrite(2) says so only where there is no room.
      guard count > 0 else { throw .noSpace }
      done += count
    }
  }
}
