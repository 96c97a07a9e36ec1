import Glibc
public import SystemPackage

/// Files that never get a name: nobody else can open or change them, and they are gone with
/// their last descriptor. `NamelessFile` is for those that get one later.
public enum TemporaryFile {
  /// Makes one, open for reading and writing; the caller closes it.
  ///
  /// - Parameter directory: says on which file system it takes up room.
  /// - Throws: why the directory takes no file.
  public static func make(in directory: FilePath) throws(Errno) -> FileDescriptor {
    let made = try NamelessFile.open(in: directory, mode: 0o600)
    // Where the file system knows no such files, the name goes at once.
    if let name = made.provisionalName, unlink(name.string) != 0 {
      let error = Errno.current
      close(made.descriptor)
      throw error
    }
    return FileDescriptor(rawValue: made.descriptor)
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
