import CFileMap
import Glibc
package import SystemPackage

/// The extended attributes of a node of any type.
///
/// Only what has content can be opened, so they are reached through the descriptor's
/// link in /proc, which leads to the very node and no further.
package struct ExtendedAttributeList {
  private let path: String

  /// - Parameter file: open, also if only to be looked at.
  package init(of file: FileDescriptor) {
    path = "/proc/self/fd/\(file.rawValue)"
  }

  /// Names, each with a NUL at its end.
  package func names() throws(Errno) -> [[CChar]] {
    let list = try grown { cfilemap_list_attributes(path, $0, $1) }
    return list.split(separator: 0).map { $0.map { CChar(bitPattern: $0) } + [0] }
  }

  /// - Parameter name: ends with a NUL.
  package func value(of name: [CChar]) throws(Errno) -> [UInt8] {
    try grown { cfilemap_get_attribute(path, name, $0, $1) }
  }

  /// - Parameter name: ends with a NUL.
  package func set(_ name: [CChar], to value: [UInt8]) throws(Errno) {
    guard cfilemap_set_attribute(path, name, value, value.count) == 0 else {
      throw Errno(rawValue: errno)
    }
  }

  /// Removes an attribute; it is no error when there is none.
  ///
  /// - Parameter name: ends with a NUL.
  package func remove(_ name: [CChar]) throws(Errno) {
    guard cfilemap_remove_attribute(path, name) == 0 || errno == ENODATA else {
      throw Errno(rawValue: errno)
    }
  }

  /// Calls with room that grows for as long as it is too small.
  private func grown(
    _ call: (UnsafeMutableRawPointer?, Int) -> Int
  ) throws(Errno) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = room.withUnsafeMutableBytes { call($0.baseAddress, $0.count) }
      if count >= 0 { return Array(room.prefix(count)) }
      let error = Errno(rawValue: errno)
      // No list and no value is longer (linux/limits.h: XATTR_LIST_MAX, XATTR_SIZE_MAX).
      guard error == .outOfRange, room.count < 1 << 20 else { throw error }
      room = [UInt8](repeating: 0, count: room.count * 4)
    }
  }
}
