import CLinuxIO
import FrozenImage
import Glibc
import SystemPackage

/// An entry of the destination that was opened to be looked at, or to be given attributes.
///
/// Who may write the directory may put something else under its name at any moment. A handle
/// stays with what was opened, so nothing else is ever given an owner or a mode.
final class EntryHandle {
  private let descriptor: Int32
  /// What it is.
  let status: stat

  /// - Parameter descriptor: of O_PATH; the handle closes it.
  init(_ descriptor: Int32) throws(Errno) {
    var found = stat()
    guard fstat(descriptor, &found) == 0 else {
      let error = Errno(rawValue: errno)
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    status = found
  }

  deinit { close(descriptor) }

  /// Whether an open file is what the handle leads to.
  func leads(to file: Int32) -> Bool {
    var found = stat()
    return fstat(file, &found) == 0 && found.st_dev == status.st_dev
      && found.st_ino == status.st_ino
  }

  /// Opens it to be read; for regular files.
  func open() throws(Errno) -> Int32 {
    let opened = path.withUnsafeBufferPointer { path in
      path.baseAddress.map { Glibc.open($0, O_RDONLY | O_CLOEXEC) } ?? -1
    }
    guard opened >= 0 else { throw Errno(rawValue: errno) }
    return opened
  }

  /// Where a symbolic link leads; `nil` when it cannot be read.
  var target: [UInt8]? {
    var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let count = readlinkat(descriptor, "", &target, target.count)
    guard count >= 0, count < target.count else { return nil }
    return target.prefix(count).map { UInt8(bitPattern: $0) }
  }

  /// A path that leads to it alone (proc(5)); it ends with a zero byte.
  private var path: [CChar] {
    "/proc/self/fd/\(descriptor)".utf8.map { CChar(bitPattern: $0) } + [0]
  }

  func setOwner(_ owner: uid_t, _ group: gid_t) throws(Errno) {
    try check(chown(path, owner, group))
  }

  /// Not for symbolic links, which have none.
  func setMode(_ mode: mode_t) throws(Errno) {
    try check(chmod(path, mode & 0o7777))
  }

  /// - Parameters:
  ///   - accessed: the time of the last read.
  ///   - modified: the time of the last change of the content.
  func setTimes(accessed: Timestamp, modified: Timestamp) throws(Errno) {
    try check(utimensat(AT_FDCWD, path, [accessed.timespec, modified.timespec], 0))
  }

  // MARK: - Extended attributes

  func setAttribute(_ name: [UInt8], _ value: [UInt8]) throws(Errno) {
    let result = value.withUnsafeBytes {
      floe_set_entry_attribute(path, Self.text(name), $0.baseAddress, $0.count)
    }
    try check(result)
  }

  func removeAttribute(_ name: [UInt8]) throws(Errno) {
    try check(floe_remove_entry_attribute(path, Self.text(name)))
  }

  /// The value of an attribute; `nil` when it has none, or none that can be read.
  func attribute(_ name: [UInt8]) -> [UInt8]? {
    let size = floe_get_entry_attribute(path, Self.text(name), nil, 0)
    guard size >= 0 else { return nil }
    var value = [UInt8](repeating: 0, count: size)
    let count = floe_get_entry_attribute(path, Self.text(name), &value, size)
    return count == size ? value : nil
  }

  /// The names of its attributes, as far as they can be read.
  var attributeNames: [[UInt8]] {
    let size = floe_list_entry_attributes(path, nil, 0)
    guard size > 0 else { return [] }
    var list = [CChar](repeating: 0, count: size)
    let count = floe_list_entry_attributes(path, &list, size)
    guard count > 0 else { return [] }
    return list.prefix(count).split(separator: 0).map { $0.map { UInt8(bitPattern: $0) } }
  }

  private static func text(_ name: [UInt8]) -> [CChar] {
    name.map { CChar(bitPattern: $0) } + [0]
  }

  private func check(_ result: Int32) throws(Errno) {
    guard result == 0 else { throw Errno(rawValue: errno) }
  }
}

extension Timestamp {
  var timespec: timespec { Glibc.timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds)) }

  /// Whether a file has this time, as far as its file system keeps times: there are some that
  /// keep microseconds, tenths of them, or whole seconds.
  func isKept(as found: timespec) -> Bool {
    guard found.tv_sec == Int(seconds) else { return false }
    let wanted = Int(nanoseconds)
    return [1, 100, 1000, 1_000_000, 1_000_000_000].contains {
      found.tv_nsec == wanted - wanted % $0
    }
  }
}
