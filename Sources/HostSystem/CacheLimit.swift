public import FrozenImage
import Glibc
public import SystemPackage

/// How much room a representation may take. Its length is what somebody else says, so it
/// is compared with what there is before anything is written.
public struct CacheLimit: Hashable, Sendable {
  /// Most bytes, whatever is free.
  public let bytes: UInt64

  /// Some 200 million files.
  public static let standard = CacheLimit(bytes: 64 << 30)

  public init(bytes: UInt64) {
    self.bytes = bytes
  }

  /// Why a representation is not taken.
  public struct Excess: CodedError, Hashable {
    public let code = ErrorCode.noRoom
    public let description: String
  }

  /// Checks that there is room for a representation.
  ///
  /// - Parameters:
  ///   - file: one that was made in `directory`, and is still empty.
  ///   - directory: for the message.
  /// - Throws: `Excess`, which says what is exceeded.
  public func check(
    _ length: UInt64, in file: FileDescriptor, of directory: FilePath
  ) throws(Excess) {
    guard length <= bytes else {
      throw Excess(
        description: "it has \(length) bytes, more than the \(bytes) that --cache-limit allows")
    }
    var status = statvfs()
    guard fstatvfs(file.rawValue, &status) == 0 else {
      throw Excess(description: "\(directory): \(Errno.current)")
    }
    let (product, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(
      by: UInt64(status.f_frsize))
    let free = overflow ? .max : product
    // The directory is not the representation's alone.
    guard length <= free - free / 10 else {
      throw Excess(
        description: "it has \(length) bytes, and of the \(free) that are free in \(directory) a "
          + "tenth is left alone; --cache names another directory")
    }
  }
}
