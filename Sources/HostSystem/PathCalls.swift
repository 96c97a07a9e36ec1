import FrozenImage
public import Glibc
public import SystemPackage

// The system calls that take a path, for paths as floe carries them (`PathText`). In a file
// that imports HostSystem a call with a `String` means these and not libc's, which would pass on
// the escapes instead of the bytes; mount-scripts/test looks for files that do not import it.

/// open(2) of a file that exists: a descriptor, or -1 and `errno`.
@discardableResult
public func open(_ path: String, _ flags: Int32) -> Int32 {
  PathText.withCString(path) { Glibc.open($0, flags) }
}

/// open(2), also of a file that is made: a descriptor, or -1 and `errno`.
@discardableResult
public func open(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 {
  PathText.withCString(path) { Glibc.open($0, flags, mode) }
}

/// stat(2), of what a link leads to: 0, or -1 and `errno`.
@discardableResult
public func stat(_ path: String, _ status: UnsafeMutablePointer<stat>) -> Int32 {
  PathText.withCString(path) { fstatat(AT_FDCWD, $0, status, 0) }
}

/// lstat(2), of a link itself: 0, or -1 and `errno`.
@discardableResult
public func lstat(_ path: String, _ status: UnsafeMutablePointer<stat>) -> Int32 {
  PathText.withCString(path) { fstatat(AT_FDCWD, $0, status, AT_SYMLINK_NOFOLLOW) }
}

/// access(2), with the real user's rights: 0, or -1 and `errno`.
@discardableResult
public func access(_ path: String, _ mode: Int32) -> Int32 {
  PathText.withCString(path) { Glibc.access($0, mode) }
}

/// unlink(2): 0, or -1 and `errno`.
@discardableResult
public func unlink(_ path: String) -> Int32 {
  PathText.withCString(path) { Glibc.unlink($0) }
}

/// mkdir(2), the mode less the umask: 0, or -1 and `errno`.
@discardableResult
public func mkdir(_ path: String, _ mode: mode_t) -> Int32 {
  PathText.withCString(path) { Glibc.mkdir($0, mode) }
}

/// rmdir(2): 0, or -1 and `errno`.
@discardableResult
public func rmdir(_ path: String) -> Int32 {
  PathText.withCString(path) { Glibc.rmdir($0) }
}

/// chmod(2), of what a link leads to: 0, or -1 and `errno`.
@discardableResult
public func chmod(_ path: String, _ mode: mode_t) -> Int32 {
  PathText.withCString(path) { Glibc.chmod($0, mode) }
}

/// rename(2), which replaces what has the new name: 0, or -1 and `errno`.
@discardableResult
public func rename(_ old: String, _ new: String) -> Int32 {
  PathText.withCString(old) { old in PathText.withCString(new) { Glibc.rename(old, $0) } }
}

/// linkat(2), which replaces nothing: 0, or -1 and `errno`.
@discardableResult
public func linkat(
  _ oldDirectory: Int32, _ old: String, _ newDirectory: Int32, _ new: String, _ flags: Int32
) -> Int32 {
  PathText.withCString(old) { old in
    PathText.withCString(new) { Glibc.linkat(oldDirectory, old, newDirectory, $0, flags) }
  }
}

/// utimensat(2), of access and modification time: 0, or -1 and `errno`.
@discardableResult
public func utimensat(
  _ directory: Int32, _ path: String, _ times: UnsafePointer<timespec>, _ flags: Int32
) -> Int32 {
  PathText.withCString(path) { Glibc.utimensat(directory, $0, times, flags) }
}

/// opendir(3): a stream that the caller closes, or `nil` and `errno`.
public func opendir(_ path: String) -> OpaquePointer? {
  PathText.withCString(path) { Glibc.opendir($0) }
}

/// The caller frees what it gets, and reads it with `PathText.text(cString:)`.
public func realpath(
  _ path: String, _ resolved: UnsafeMutablePointer<CChar>?
) -> UnsafeMutablePointer<CChar>? {
  PathText.withCString(path) { Glibc.realpath($0, resolved) }
}

/// umount2(2): 0, or -1 and `errno`.
@discardableResult
public func umount2(_ path: String, _ flags: Int32) -> Int32 {
  PathText.withCString(path) { Glibc.umount2($0, flags) }
}

extension FileDescriptor {
  /// open(2) of a file that exists; the caller closes the descriptor. Throws `Errno`.
  public static func open(_ path: FilePath, _ mode: AccessMode) throws -> FileDescriptor {
    try open(bytesOf: path, mode, options: [], permissions: nil)
  }

  /// open(2) of a file that exists; the caller closes the descriptor. Throws `Errno`.
  public static func open(
    _ path: FilePath, _ mode: AccessMode, options: OpenOptions
  ) throws -> FileDescriptor {
    try open(bytesOf: path, mode, options: options, permissions: nil)
  }

  /// open(2), also of a file that is made; the caller closes the descriptor. Throws `Errno`.
  public static func open(
    _ path: FilePath, _ mode: AccessMode, options: OpenOptions, permissions: FilePermissions?
  ) throws -> FileDescriptor {
    try open(bytesOf: path, mode, options: options, permissions: permissions)
  }

  private static func open(
    bytesOf path: FilePath, _ mode: AccessMode, options: OpenOptions,
    permissions: FilePermissions?
  ) throws -> FileDescriptor {
    try PathText.withCString(path.string) { bytes in
      try FileDescriptor.open(
        bytes, mode, options: options, permissions: permissions, retryOnInterrupt: true)
    }
  }
}
