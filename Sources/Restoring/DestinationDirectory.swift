import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// An open directory that takes what is restored.
///
/// Everything below the first one is reached by a descriptor and a single name, and no symbolic
/// link is followed: neither one that the image holds nor one that lay there before leads out of
/// it.
final class DestinationDirectory: Sendable {
  private let descriptor: Int32

  private init(descriptor: Int32) {
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Opens the directory that the user names; links in its path are followed, as the user
  /// wrote them.
  convenience init(path: String) throws(Errno) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    self.init(descriptor: descriptor)
  }

  /// Opens a directory in this one.
  ///
  /// - Throws: `notDirectory` or `tooManySymbolicLinkLevels` when it is something else.
  func directory(_ name: EntryName) throws(Errno) -> DestinationDirectory {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    let opened = name.withCString { openat(descriptor, $0, flags) }
    guard opened >= 0 else { throw Errno(rawValue: errno) }
    return DestinationDirectory(descriptor: opened)
  }

  /// Makes a directory that is its owner's alone until it is complete.
  func makeDirectory(_ name: EntryName) throws(Errno) {
    try check(name.withCString { mkdirat(descriptor, $0, 0o700) })
  }

  /// What has a name; `nil` when nothing has.
  func status(of name: EntryName) throws(Errno) -> stat? {
    var status = stat()
    let result = name.withCString { fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
    guard result != 0 else { return status }
    guard errno == ENOENT else { throw Errno(rawValue: errno) }
    return nil
  }

  /// Opens an entry to be looked at or to be given attributes; a symbolic link is one itself.
  ///
  /// - Throws: `noSuchFileOrDirectory` when there is none.
  func handle(of name: EntryName) throws(Errno) -> EntryHandle {
    // open(2): neither a FIFO nor a device notices.
    let pathOnly: Int32 = 0o10000000
    let opened = name.withCString {
      openat(descriptor, $0, pathOnly | O_NOFOLLOW | O_CLOEXEC)
    }
    guard opened >= 0 else { throw Errno(rawValue: errno) }
    return try EntryHandle(opened)
  }

  /// Keeps everybody but its owner out.
  func closeToOthers() {
    // Whose directory it is not may restore into it all the same.
    _ = fchmod(descriptor, 0o700)
  }

  /// Makes a regular file, for its owner alone; what had the name is removed before.
  func makeFile(_ name: EntryName) throws(Errno) -> Int32 {
    try remove(name)
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let opened = name.withCString { openat(descriptor, $0, flags, 0o600) }
    guard opened >= 0 else { throw Errno(rawValue: errno) }
    return opened
  }

  func makeLink(_ name: EntryName, to target: [UInt8]) throws(Errno) {
    let target = target.map { CChar(bitPattern: $0) } + [0]
    try check(name.withCString { symlinkat(target, descriptor, $0) })
  }

  /// Makes a device, a FIFO or a socket, for its owner alone.
  ///
  /// - Parameter mode: its type is what counts.
  func makeNode(_ name: EntryName, mode: mode_t, device: dev_t) throws(Errno) {
    try check(name.withCString { mknodat(descriptor, $0, mode & S_IFMT | 0o600, device) })
  }

  /// Gives something that is in a directory a second name, in this one.
  func link(_ name: EntryName, to other: EntryName, in directory: DestinationDirectory)
    throws(Errno)
  {
    let result = other.withCString { old in
      name.withCString { linkat(directory.descriptor, old, descriptor, $0, 0) }
    }
    try check(result)
  }

  /// - Parameter replaces: whether what has the new name, and is no directory, gives way.
  /// - Throws: `fileExists` when it does not.
  func rename(_ old: EntryName, to new: EntryName, replacing replaces: Bool) throws(Errno) {
    let result = old.withCString { old in
      new.withCString { floe_rename_in(descriptor, old, $0, replaces ? 1 : 0) }
    }
    guard result != 0, errno == EINVAL, !replaces else { return try check(result) }
    // A file system that cannot tell: a second name cannot replace anything either.
    let linked = old.withCString { old in
      new.withCString { linkat(descriptor, old, descriptor, $0, 0) }
    }
    try check(linked)
    try remove(old)
  }

  /// Removes what is no directory; nothing need be there.
  func remove(_ name: EntryName) throws(Errno) {
    let result = name.withCString { unlinkat(descriptor, $0, 0) }
    guard result != 0, errno != ENOENT else { return }
    throw Errno(rawValue: errno)
  }

  /// Writes all that was restored to the disk.
  func synchronize() throws(Errno) {
    try check(floe_sync_file_system(descriptor))
  }

  /// Whether it holds anything.
  func isEmpty() throws(Errno) -> Bool {
    let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let stream = fdopendir(copy) else { throw Errno(rawValue: errno) }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let isDots = withUnsafeBytes(of: &entry.pointee.d_name) { name in
        name.starts(with: [0x2E, 0]) || name.starts(with: [0x2E, 0x2E, 0])
      }
      if !isDots { return false }
    }
    return true
  }

  private func check(_ result: Int32) throws(Errno) {
    guard result == 0 else { throw Errno(rawValue: errno) }
  }
}
