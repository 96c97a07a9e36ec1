import Glibc
public import SystemPackage

/// Files without a name: nobody else can open or change them, and they are gone with
/// their last descriptor.
public enum UnnamedFile {
  /// Makes one, open for reading and writing; the caller closes it.
  ///
  /// - Parameter directory: says on which file system it takes up room.
  /// - Throws: why the directory takes no file.
  public static func make(in directory: FilePath) throws(Errno) -> FileDescriptor {
    // open(2): __O_TMPFILE has this value on x86-64 and arm64 alike.
    let noName: Int32 = 0o20000000 | O_DIRECTORY
    let opened = open(directory.string, noName | O_RDWR | O_CLOEXEC, 0o600)
    if opened >= 0 { return FileDescriptor(rawValue: opened) }
    guard errno == EOPNOTSUPP || errno == EISDIR else { throw Errno.current }
    // The file system knows no such files: one that loses its name at once.
    let name = directory.appending(".floe-\(String(UInt64.random(in: 0 ... .max), radix: 16))")
    let named = open(name.string, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
    guard named >= 0 else { throw Errno.current }
    guard unlink(name.string) == 0 else {
      let error = Errno.current
      close(named)
      throw error
    }
    return FileDescriptor(rawValue: named)
  }

  /// Brings its bytes to the storage, so that a write that fails there fails here, and is
  /// not found out when the bytes are wanted again.
  ///
  /// - Throws: what the file system reports (fdatasync(2)).
  public static func synchronize(_ file: FileDescriptor) throws(Errno) {
    while fdatasync(file.rawValue) != 0 {
      guard errno == EINTR else { throw Errno.current }
    }
  }
}
