import FrozenImage
import Glibc
import SystemPackage

/// A file that has no name until it is published; without that it is gone with its
/// last descriptor, also after a crash.
final class NamelessFile {
  private let descriptor: Int32
  private let directory: FilePath
  /// Where the file system has no O_TMPFILE: the name that the file has until it is
  /// published.
  private var provisionalName: FilePath?

  /// - Throws: `ScratchError` when the directory takes no file.
  init(in directory: FilePath) throws(ScratchError) {
    self.directory = directory
    // open(2): __O_TMPFILE has this value on x86-64 and arm64 alike.
    let noName: Int32 = 0o20000000 | O_DIRECTORY
    var opened = open(directory.string, noName | O_RDWR | O_CLOEXEC, 0o600)
    if opened < 0, errno == EOPNOTSUPP || errno == EISDIR {
      let name = Self.unusedName(in: directory)
      opened = open(name.string, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
      if opened >= 0 { provisionalName = name }
    }
    guard opened >= 0 else {
      throw Self.failure("no file can be made in \(directory)", directory)
    }
    descriptor = opened
  }

  deinit {
    close(descriptor)
    if let provisionalName { unlink(provisionalName.string) }
  }

  private static func unusedName(in directory: FilePath) -> FilePath {
    directory.appending(".floe-\(String(UInt64.random(in: 0 ... .max), radix: 16))")
  }

  /// An error out of `errno`; a full file system is said plainly.
  private static func failure(_ what: String, _ directory: FilePath) -> ScratchError {
    let code = errno
    if code == ENOSPC || code == EDQUOT {
      return ScratchError("the directory \(directory) is full: \(Errno(rawValue: code))")
    }
    return ScratchError("\(what): \(Errno(rawValue: code))")
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(ScratchError) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = pwrite(
        descriptor, rest.baseAddress, rest.count, off_t(clamping: offset + UInt64(done)))
      if count < 0 {
        if errno == EINTR { continue }
        throw Self.failure("a scratch file in \(directory) cannot be written", directory)
      }
      done += count
    }
  }

  /// Fills the buffer.
  func read(
    at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(ScratchError) {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count = pread(
        descriptor, rest.baseAddress, rest.count, off_t(clamping: offset + UInt64(done)))
      if count < 0 {
        if errno == EINTR { continue }
        throw Self.failure("a scratch file in \(directory) cannot be read", directory)
      }
      guard count > 0 else {
        throw ScratchError("a scratch file in \(directory) ends before its bytes")
      }
      done += count
    }
  }

  /// What is in the file; nobody may write it from now on.
  func representation() throws(ScratchError) -> Representation {
    do {
      // A file that others could reach is copied.
      if let provisionalName { return try Representation(MappedFile(copyOf: provisionalName)) }
      // linux/fcntl.h: F_DUPFD_CLOEXEC.
      let copy = fcntl(descriptor, 1024 + 6, 0)
      guard copy >= 0 else { throw Errno(rawValue: errno) }
      return try Representation(MappedFile(descriptor: FileDescriptor(rawValue: copy)))
    } catch {
      throw ScratchError("what was written in \(directory) cannot be read: \(error)")
    }
  }

  /// Gives the file a name, in the directory where it is, once its bytes are on stable
  /// storage; a file of that name is replaced.
  func publish(at path: FilePath) throws(ScratchError) {
    guard fsync(descriptor) == 0 else {
      throw Self.failure("\(path) cannot be brought to stable storage", directory)
    }
    let name: FilePath
    if let provisionalName {
      name = provisionalName
    } else {
      // A link cannot take the place of another file; a rename can.
      name = Self.unusedName(in: directory)
      let link = linkat(
        AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, name.string, AT_SYMLINK_FOLLOW)
      guard link == 0 else { throw Self.failure("\(path) cannot be given its name", directory) }
      provisionalName = name
    }
    guard rename(name.string, path.string) == 0 else {
      throw Self.failure("\(path) cannot be put in place", directory)
    }
    provisionalName = nil
    try Self.synchronize(directory)
  }

  private static func synchronize(_ directory: FilePath) throws(ScratchError) {
    let opened = open(directory.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw failure("\(directory) cannot be opened", directory) }
    defer { close(opened) }
    guard fsync(opened) == 0 else {
      throw failure("\(directory) cannot be brought to stable storage", directory)
    }
  }
}
