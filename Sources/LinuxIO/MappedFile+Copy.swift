import Glibc
public import SystemPackage

extension MappedFile {
  /// Maps a copy of a file that has a name; the copy has none.
  ///
  /// - Parameter directory: takes the copy; `nil` for the directory that the file is in.
  /// - Throws: `MappedFileError` when the file cannot be read or copied.
  public convenience init(
    copyOf path: FilePath, in directory: FilePath? = nil
  ) throws(MappedFileError) {
    let directory = (directory ?? path.removingLastComponent()).string
    // open(2): __O_TMPFILE has this value on x86-64 and arm64 alike.
    let noName: Int32 = 0o20000000 | O_DIRECTORY
    let copy = open(directory, noName | O_RDWR | O_CLOEXEC, 0o600)
    guard copy >= 0 else {
      throw MappedFileError("no file can be made in \(directory): \(Errno(rawValue: errno))")
    }
    do {
      try Self.copy(path, to: FileDescriptor(rawValue: copy))
    } catch {
      close(copy)
      throw MappedFileError("\(path) cannot be copied: \(error)")
    }
    try self.init(descriptor: FileDescriptor(rawValue: copy))
  }

  private static func copy(_ path: FilePath, to copy: FileDescriptor) throws {
    let source = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
    try source.closeAfter {
      let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      defer { chunk.deallocate() }
      while case let count = try source.read(into: chunk), count > 0 {
        try copy.writeAll(chunk[..<count])
      }
    }
  }
}
