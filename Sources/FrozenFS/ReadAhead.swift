import CFuse3
import Glibc
import Logging
import SystemPackage

/// How far the kernel reads ahead in a mount's files.
///
/// A FUSE server can only lower the kernel's 128 KiB when the connection is made
/// (the INIT reply); to raise it, the mount's own "backing device" in sysfs is told.
/// With it a sequential reader's requests are 1 MiB and several are under way.
enum ReadAhead {
  /// KiB. More gains nothing measurable; it is also what a reader of a small piece of
  /// a file may cost in needless reading.
  private static let kibibytes = 4096

  /// Raises the read-ahead of the mount whose files have a device number.
  ///
  /// Without root's rights the mount is slower, not wrong: that is only logged.
  static func raise(forDevice device: dev_t, logger: Logger) {
    let name = "\(gnu_dev_major(device)):\(gnu_dev_minor(device))"
    let path = FilePath("/sys/class/bdi/\(name)/read_ahead_kb")
    do {
      let file = try FileDescriptor.open(path, .writeOnly)
      try file.closeAfter { _ = try file.writeAll("\(kibibytes)".utf8) }
    } catch {
      logger.debug("the kernel's read-ahead stays as it is: \(path): \(error)")
    }
  }
}
