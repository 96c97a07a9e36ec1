import CLinuxIO
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// The mounts of floe on this host (/proc/self/mountinfo, proc(5)), and what can be
/// asked of them and done to them.
enum MountTable {
  /// Whether floe has an image mounted at this very path; a mount whose process is
  /// gone counts.
  static func hasFloe(at path: String) -> Bool {
    mountpoints.contains(place(of: path))
  }

  /// The mount point that a path means: where symbolic links lead, as far as they
  /// can be followed. A dead mount cannot be looked at.
  static func place(of path: String) -> String {
    resolved(path) ?? absolute(path)
  }

  /// The path without symbolic links (realpath(3)).
  static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return PathText.text(cString: resolved)
  }

  /// Whether the process that served a mount is gone. Only what the kernel does not
  /// keep, as it keeps a frozen tree's attributes, can tell.
  static func isDead(_ path: String) -> Bool {
    PathText.withCString(path) { floe_getxattr($0, ControlAttributes.status, nil, 0) } < 0
      && errno == ENOTCONN
  }

  private static var mountpoints: [String] {
    guard let descriptor = try? FileDescriptor.open("/proc/self/mountinfo", .readOnly) else {
      return []
    }
    defer { try? descriptor.close() }
    var bytes: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
    defer { chunk.deallocate() }
    while let count = try? descriptor.read(into: chunk), count > 0 {
      bytes += chunk[..<count]
    }
    return bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
      let fields = line.split(separator: UInt8(ascii: " "))
      // … mountpoint options - type source options
      guard let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }), fields.count > 5,
        dash + 1 < fields.count, fields[dash + 1].elementsEqual("fuse.floe".utf8)
      else { return nil }
      return unescaped(fields[4])
    }
  }

  /// Undoes the octal escapes of blanks, tabs, line ends and backslashes.
  private static func unescaped(_ field: some Sequence<UInt8>) -> String {
    var bytes: [UInt8] = []
    var rest = Array(field)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return PathText.text(of: bytes)
  }

  /// The path from the root on. The parent is resolved, the last name is not: a
  /// dead mount cannot be looked at.
  static func absolute(_ path: String) -> String {
    let asked = FilePath(path)
    var path = asked
    let last = path.lastComponent
    if path.components.count > 0, last != ".", last != ".." { path.removeLastComponent() }
    // Where the parent is missing, the path is as it was given, from here on.
    guard let parent = resolved(path.isEmpty ? "." : path.string) else {
      return asked.isAbsolute ? asked.string : FilePath(resolved(".") ?? "/").pushing(asked).string
    }
    var result = FilePath(parent)
    if let last, last != ".", last != ".." { result.append(last) }
    return result.string
  }

  /// The mount point of floe that a path lies on; the path itself where none is found.
  /// Below a dead mount nothing can be looked at.
  static func mountpoint(above path: String) -> String {
    let path = FilePath(place(of: path)).lexicallyNormalized()
    return mountpoints.map { FilePath($0) }.filter { path.starts(with: $0) }
      .max { $0.components.count < $1.components.count }?.string ?? path.string
  }

  /// Reads a control attribute of a mount.
  static func control(_ name: String, of path: String) throws(Failure) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = PathText.withCString(path) { floe_getxattr($0, name, &buffer, buffer.count) }
    guard count >= 0 else {
      switch Errno(rawValue: errno) {
      case Errno(rawValue: ENOTCONN):
        let mountpoint = mountpoint(above: path)
        throw Failure("the process that served \(path) is gone; run: floe umount \(mountpoint)")
      case .noData, .notSupported:
        throw Failure(
          "\(path) is not on a mount of floe, or on one of another user: only he and root may ask")
      case let error: throw Failure("\(path): \(error)")
      }
    }
    return Array(buffer[..<count])
  }

  /// Unmounts, as root by umount2(2), else by fusermount3.
  static func unmount(_ path: String, lazily: Bool) throws(Failure) {
    let path = place(of: path)
    guard geteuid() != 0 else {
      guard umount2(path, lazily ? Int32(MNT_DETACH) : 0) == 0 else {
        let error = Errno(rawValue: errno)
        throw Failure(
          error == .resourceBusy
            ? "\(path) is in use; end what uses it, or run: floe umount --lazy \(path)"
            : "\(path) cannot be unmounted: \(error)")
      }
      return
    }
    let arguments = ["fusermount3", lazily ? "-uz" : "-u", path]
    guard ChildProcess.run("fusermount3", arguments) == 0 else {
      throw Failure("fusermount3 cannot unmount \(path)")
    }
  }
}
