public import FrozenImage
import Glibc
public import SystemPackage

/// A file in memory, for reading only, that nobody can change or cut short under its
/// readers: cutting a mapped file short would turn reads into SIGBUS.
public final class MappedFile: ByteRegion {
  /// All of the file, for as long as the object lives.
  public var bytes: UnsafeRawBufferPointer { mapping }

  // Set once; the mapping is read-only.
  nonisolated(unsafe) private let mapping: UnsafeRawBufferPointer

  /// Maps a file that only this process can reach: one without a name (unlinked, or
  /// opened with O_TMPFILE and never linked), or a memory file sealed against
  /// shrinking and writing.
  ///
  /// - Parameter descriptor: open for reading; closed in every case. Nobody else may
  ///   hold the file open for writing.
  /// - Throws: `MappedFileError` when it has a name, is empty, or cannot be mapped.
  public init(descriptor: FileDescriptor) throws(MappedFileError) {
    defer { close(descriptor.rawValue) }
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0 else {
      throw MappedFileError("its status cannot be read: \(Errno(rawValue: errno))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw MappedFileError("it is not a regular file")
    }
    guard status.st_nlink == 0 || Self.isSealed(descriptor) else {
      throw MappedFileError("others can reach it by its name and change it")
    }
    guard let count = Int(exactly: status.st_size), count > 0 else {
      throw MappedFileError("it is empty")
    }
    let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor.rawValue, 0)
    guard let start, start != MAP_FAILED else {
      throw MappedFileError("\(count) bytes: \(Errno(rawValue: errno))")
    }
    mapping = UnsafeRawBufferPointer(start: start, count: count)
  }

  private static func isSealed(_ descriptor: FileDescriptor) -> Bool {
    // linux/fcntl.h; a file that cannot be sealed gives EINVAL.
    let getSeals: Int32 = 1024 + 10
    // F_SEAL_SHRINK and F_SEAL_WRITE.
    let needed: Int32 = 0x2 | 0x8
    let seals = fcntl(descriptor.rawValue, getSeals)
    return seals >= 0 && seals & needed == needed
  }

  deinit {
    munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count)
  }
}

/// Why a file cannot be mapped.
public struct MappedFileError: CodedError, Hashable {
  public let code = ErrorCode.failed
  /// What is wrong with it, without its name and a full stop ("it is empty").
  public let reason: String

  init(_ reason: String) {
    self.reason = reason
  }

  public var description: String { "the file cannot be mapped into memory: \(reason)" }
}
