import FrozenImage
public import Glibc
public import SystemPackage

// The system calls that take a path, for paths as floe carries them (`PathText`). In a file
// that imports HostSystem a call with a `String` means these and not libc's, which would pass on
// the escapes instead of the bytes; mount-scripts/test looks for files that do not import it.

@discardableResult
public func open(_ path: String, _ flags: Int32) -> Int32 {
  PathText.withCString(path) { Glibc.open($0, flags) }
}

@discardableResult
public func open(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 {
  PathText.withCString(path) { Glibc.open($0, flags, mode) }
}

@discardableResult
public func stat(_ path: String, _ status: UnsafeMutablePointer<stat>) -> Int32 {
  PathText.withCString(path) { fstatat(AT_FDCWD, $0, status, 0) }
}

@discardableResult
public func lstat(_ path: String, _ status: UnsafeMutablePointer<stat>) -> Int32 {
  PathText.withCString(path) { fstatat(AT_FDCWD, $0, status, AT_SYMLINK_NOFOLLOW) }
}

@discardableResult
public func access(_ path: String, _ mode: Int32) -> Int32 {
  PathText.withCString(path) { Glibc.access($0, mode) }
}

@discardableResult
public func unlink(_ path: String) -> Int32 {
  PathText.withCString(path) { Glibc.unlink($0) }
}

@discardableResult
public func mkdir(_ path: String, _ mode: mode_t) -> Int32 {
  PathText.withCString(path) { Glibc.mkdir($0, mode) }
}

@discardableResult
public func rmdir(_ path: String) -> Int32 {
  PathText.withCString(path) { Glibc.rmdir($0) }
}

@discardableResult
public func chmod(_ path: String, _ mode: mode_t) -> Int32 {
  PathText.withCString(path) { Glibc.chmod($0, mode) }
}

@discardableResult
public func rename(_ old: String, _ new: String) -> Int32 {
  PathText.withCString(old) { old in PathText.withCString(new) { Glibc.rename(old, $0) } }
}

@discardableResult
public func linkat(
  _ oldDirectory: Int32, _ old: String, _ newDirectory: Int32, _ new: String, _ flags: Int32
) -> Int32 {
  PathText.withCString(old) { old in
    PathText.withCString(new) { Glibc.linkat(oldDirectory, old, newDirectory, $0, flags) }
  }
}

@discardableResult
public func utimensat(
  _ directory: Int32, _ path: String, _ times: UnsafePointer<timespec>, _ flags: Int32
) -> Int32 {
  PathText.withCString(path) { Glibc.utimensat(directory, $0, times, flags) }
}

public func opendir(_ path: String) -> OpaquePointer? {
  PathText.withCString(path) { Glibc.opendir($0) }
}

/// The caller frees what it gets, and reads it with `PathText.text(cString:)`.
public func realpath(
  _ path: String, _ resolved: UnsafeMutablePointer<CChar>?
) -> UnsafeMutablePointer<CChar>? {
  PathText.withCString(path) { Glibc.realpath($0, resolved) }
}

@discardableResult
public func umount2(_ path: String, _ flags: Int32) -> Int32 {
  PathText.withCString(path) { Glibc.umount2($0, flags) }
}

extension FileDescriptor {
  public static func open(_ path: FilePath, _ mode: AccessMode) throws -> FileDescriptor {
    try open(bytesOf: path, mode, options: [], permissions: nil)
  }

  public static func open(
    _ path: FilePath, _ mode: AccessMode, options: OpenOptions
  ) throws -> FileDescriptor {
    try open(bytesOf: path, mode, options: options, permissions: nil)
  }

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
