import CLinuxIO
public import FrozenImage
package import Glibc
public import SystemPackage

/// A file that has no name until it is published; without that it is gone with its
/// last descriptor, also after a crash.
///
/// Every file that floe writes for others to find is written this way: its name appears only
/// when it is complete and on stable storage, and nothing that somebody put in the way
/// beforehand, such as a link, is followed.
package final class NamelessFile {
  private let descriptor: Int32
  private let directory: FilePath
  /// Where the file system has no O_TMPFILE: the name that the file has until it is
  /// published.
  private var provisionalName: FilePath?

  /// The directory that a path's last name is in.
  package static func directory(of path: FilePath) -> FilePath {
    let parent = path.removingLastComponent()
    return parent.isEmpty ? "." : parent
  }

  /// - Parameter mode: the file's permissions, less the umask.
  /// - Throws: `FileFailure` when the directory takes no file.
  package init(in directory: FilePath, mode: mode_t = 0o600) throws(FileFailure) {
    self.directory = directory
    do throws(Errno) {
      (descriptor, provisionalName) = try Self.open(in: directory, mode: mode)
    } catch {
      throw Self.failure(error, "no file can be made in \(directory)", directory)
    }
  }

  /// Opens a new file without a name, for reading and writing; the caller closes it.
  ///
  /// - Returns: the descriptor, and the name that the file has after all where the file
  ///   system has no O_TMPFILE.
  static func open(
    in directory: FilePath, mode: mode_t
  ) throws(Errno) -> (descriptor: Int32, provisionalName: FilePath?) {
    // open(2): __O_TMPFILE has this value on x86-64 and arm64 alike.
    let noName: Int32 = 0o20000000 | O_DIRECTORY
    let opened = HostSystem.open(directory.string, noName | O_RDWR | O_CLOEXEC, mode)
    if opened >= 0 { return (opened, nil) }
    guard errno == EOPNOTSUPP || errno == EISDIR else { throw Errno.current }
    let name = unusedName(in: directory)
    let named = HostSystem.open(name.string, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode)
    guard named >= 0 else { throw Errno.current }
    return (named, name)
  }

  deinit {
    close(descriptor)
    if let provisionalName { unlink(provisionalName.string) }
  }

  private static func unusedName(in directory: FilePath) -> FilePath {
    directory.appending(".floe-\(String(UInt64.random(in: 0 ... .max), radix: 16))")
  }

  /// An error out of `errno`.
  private static func failure(_ what: String, _ directory: FilePath) -> FileFailure {
    failure(Errno.current, what, directory)
  }

  /// A full file system is said plainly.
  private static func failure(
    _ code: Errno, _ what: String, _ directory: FilePath
  ) -> FileFailure {
    if code == .noSpace || code == .diskQuotaExceeded {
      return FileFailure(code, "the directory \(directory) is full: \(code)")
    }
    return FileFailure(code, "\(what): \(code)")
  }

  /// Writes all of the bytes.
  ///
  /// - Parameter offset: bytes from the file's start; it grows as needed.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileFailure) {
    do {
      try FileDescriptor(rawValue: descriptor).write(all: bytes, at: offset)
    } catch {
      throw Self.failure(error, "a file in \(directory) cannot be written", directory)
    }
  }

  /// Fills the buffer.
  package func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(FileFailure) {
    let count: Int
    do {
      count = try FileDescriptor(rawValue: descriptor).fill(buffer, at: offset)
    } catch {
      throw Self.failure(error, "a file in \(directory) cannot be read", directory)
    }
    guard count == buffer.count else {
      throw FileFailure(.ioError, "a file in \(directory) ends before its bytes")
    }
  }

  /// What is in the file; nobody may write it from now on.
  package func mapped() throws(FileFailure) -> MappedFile {
    do {
      // A file that others could reach is copied.
      if let provisionalName { return try MappedFile.copy(of: provisionalName) }
      // linux/fcntl.h: F_DUPFD_CLOEXEC.
      let copy = fcntl(descriptor, 1024 + 6, 0)
      guard copy >= 0 else { throw Errno(rawValue: errno) }
      return try MappedFile(descriptor: FileDescriptor(rawValue: copy))
    } catch {
      throw unreadable(error)
    }
  }

  /// What is in the file makes no sense, or cannot be read.
  package func unreadable(_ error: any Error) -> FileFailure {
    FileFailure(.ioError, "what was written in \(directory) cannot be read: \(error)")
  }

  /// Says of the file that this host wrote it.
  package func mark() { OriginMark.set(on: descriptor) }

  /// Gives the file a name, in the directory where it is, once its bytes are on stable
  /// storage.
  ///
  /// - Parameter replaces: whether it takes the place of what has the name (of a link
  ///   itself, not of what that leads to); otherwise that is an error.
  package func publish(at path: FilePath, replacing replaces: Bool) throws(FileFailure) {
    guard fsync(descriptor) == 0 else {
      throw Self.failure("\(path) cannot be brought to stable storage", directory)
    }
    guard replaces ? replace(path) : take(path) else {
      if errno == EEXIST { throw FileFailure(.fileExists, "\(path) is there already") }
      throw Self.failure("\(path) cannot be put in place", directory)
    }
    try Self.synchronize(directory)
  }

  /// Takes a name that may be in use; `false`, and errno, when that cannot be.
  private func replace(_ path: FilePath) -> Bool {
    // A link cannot take the place of another file; a rename can.
    let name = provisionalName ?? Self.unusedName(in: directory)
    guard provisionalName != nil || link(to: name) else { return false }
    provisionalName = name
    guard rename(name.string, path.string) == 0 else { return false }
    provisionalName = nil
    return true
  }

  /// Takes a name that nobody has; `false`, and errno, when that cannot be.
  private func take(_ path: FilePath) -> Bool {
    guard let name = provisionalName else { return link(to: path) }
    // Where there is no O_TMPFILE, one of these may be missing too.
    let moved = PathText.withCString(name.string) { name in
      PathText.withCString(path.string) { floe_rename_to_unused(name, $0) }
    }
    if moved == 0 {
      provisionalName = nil
      return true
    }
    guard errno == EINVAL || errno == ENOSYS else { return false }
    // The provisional name goes with this object.
    return linkat(AT_FDCWD, name.string, AT_FDCWD, path.string, 0) == 0
  }

  private func link(to path: FilePath) -> Bool {
    linkat(
      AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path.string, AT_SYMLINK_FOLLOW) == 0
  }

  private static func synchronize(_ directory: FilePath) throws(FileFailure) {
    let opened = HostSystem.open(directory.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw failure("\(directory) cannot be opened", directory) }
    defer { close(opened) }
    guard fsync(opened) == 0 else {
      throw failure("\(directory) cannot be brought to stable storage", directory)
    }
  }
}

/// Why a file could not be made or written, as one sentence that names the place.
public struct FileFailure: CodedError, Hashable {
  /// What the system call said.
  public let reason: Errno
  public let description: String

  public var code: ErrorCode { reason.code }
  public var cause: (any Error)? { reason }

  init(_ reason: Errno, _ description: String) {
    self.reason = reason
    self.description = description
  }
}
