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
    let directory = directory ?? path.removingLastComponent()
    let copy: FileDescriptor
    do throws(Errno) {
      copy = try UnnamedFile.make(in: directory)
    } catch {
      throw MappedFileError("no file can be made in \(directory): \(error)")
    }
    do {
      try Self.copy(path, to: copy)
      try UnnamedFile.synchronize(copy)
    } catch {
      close(copy.rawValue)
      throw MappedFileError("\(path) cannot be copied: \(error)")
    }
    try self.init(descriptor: copy)
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
