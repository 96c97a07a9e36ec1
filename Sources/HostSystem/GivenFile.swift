import CLinuxIO
import Glibc
public import SystemPackage

/// A representation's file that a user gave: open, so that whose it is and what it says
/// are told of the same file.
public final class GivenFile: Sendable {
  /// As the user gave it.
  public let path: FilePath
  /// Who wrote it, as far as this host's kernel knows.
  public let owner: FileOwner
  /// Whether this very host's floe wrote it, and the user who runs this process, or root,
  /// had it do so.
  public let isOfThisHost: Bool
  private let descriptor: FileDescriptor
  private let length: UInt64

  /// - Throws: `MappedFileError` when it cannot be opened or is no regular file.
  public init(_ path: FilePath) throws(MappedFileError) {
    self.path = path
    // A FIFO would be waited for.
    let opened = open(path.string, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard opened >= 0 else { throw MappedFileError("\(Errno.current)") }
    descriptor = FileDescriptor(rawValue: opened)
    var status = stat()
    guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(opened)
      throw MappedFileError("it is not a regular file")
    }
    length = UInt64(clamping: status.st_size)
    owner = Self.author(of: opened, status)
    isOfThisHost = owner.isTrusted && OriginMark.isSet(on: opened)
  }

  deinit { close(descriptor.rawValue) }

  /// Maps a copy of it that has no name, so that nobody can change it.
  ///
  /// - Parameters:
  ///   - directory: takes the copy.
  ///   - limit: `nil` where this host wrote the file itself.
  /// - Throws: `MappedFileError` when it cannot be read or copied, or has no room there.
  public func copy(
    in directory: FilePath, limit: CacheLimit?
  ) throws(MappedFileError) -> MappedFile {
    let copy: FileDescriptor
    do throws(Errno) {
      copy = try TemporaryFile.make(in: directory)
    } catch {
      throw MappedFileError("no file can be made in \(directory): \(error)")
    }
    do {
      try limit?.check(length, in: copy, of: directory)
      try fill(copy)
      try TemporaryFile.synchronize(copy)
    } catch {
      close(copy.rawValue)
      throw MappedFileError("\(path) cannot be copied: \(error)")
    }
    return try MappedFile(descriptor: copy)
  }

  /// Copies as many bytes as it had, however long it becomes.
  private func fill(_ copy: FileDescriptor) throws {
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { chunk.deallocate() }
    var done: UInt64 = 0
    while done < length {
      let wanted = UnsafeMutableRawBufferPointer(
        rebasing: chunk[..<min(chunk.count, Int(clamping: length - done))])
      let count = try descriptor.read(fromAbsoluteOffset: Int64(clamping: done), into: wanted)
      guard count > 0 else { return }
      try copy.writeAll(chunk[..<count])
      done += UInt64(count)
    }
  }

  /// The owner, where he is the only one who may write the file, and where the file system
  /// tells him by itself: what FUSE shows, whoever mounted it made up.
  private static func author(of descriptor: Int32, _ status: stat) -> FileOwner {
    var type: Int64 = 0
    guard floe_file_system_type(descriptor, &type) == 0 else { return .anybody }
    if floe_is_fuse(type) != 0 {
      let device = "\(DeviceNumber(packed: UInt64(status.st_dev)))"
      guard let mounts = try? MountEntry.all(),
        let user = mounts.first(where: { $0.device == device && $0.isFUSE })?.fuseUser
      else { return .anybody }
      if user != 0 { return FileOwner(user: user) }
    }
    let owner = FileOwner(user: status.st_uid)
    if status.st_mode & S_IWOTH != 0 { return .anybody }
    let hasList =
      floe_getxattr("/proc/self/fd/\(descriptor)", "system.posix_acl_access", nil, 0) > 0
    let isGroups = status.st_mode & S_IWGRP != 0
    if isGroups, hasList || status.st_gid != owner.groups.first { return .anybody }
    return owner
  }
}
