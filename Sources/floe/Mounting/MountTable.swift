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
    HostPath.resolved(path) ?? HostPath.absolute(path)
  }

  /// Whether the process that served a mount is gone. Only what the kernel does not
  /// keep, as it keeps a frozen tree's attributes, can tell.
  static func isDead(_ path: String) -> Bool {
    PathText.withCString(path) { floe_getxattr($0, ControlAttributes.status, nil, 0) } < 0
      && errno == ENOTCONN
  }

  /// Where images are mounted on this host, in the order in which they were.
  static var mountpoints: [String] {
    ((try? MountEntry.all()) ?? []).filter { $0.type == "fuse.floe" }.map(\.mountpoint)
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
        throw Failure(
          .unreachable, "the process that served \(path) is gone; run: floe umount \(mountpoint)")
      case .noData, .notSupported:
        throw Failure(
          .notPermitted,
          "\(path) is not on a mount of floe, or on one of another user: only he and root may ask")
      case let error: throw Failure("\(path)", cause: error)
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
            : "\(path) cannot be unmounted", cause: error)
      }
      return
    }
    let arguments = ["fusermount3", lazily ? "-uz" : "-u", path]
    guard ChildProcess.run("fusermount3", arguments) == 0 else {
      throw Failure(.failed, "fusermount3 cannot unmount \(path)")
    }
  }
}
