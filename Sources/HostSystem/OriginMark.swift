import CLinuxIO
import Glibc

/// What shows that this very host's floe wrote a file, so that the paths in it are those of
/// this host: an extended attribute that names the file's inode and the moment in which it
/// was made.
///
/// A copy from elsewhere has another inode, made at another moment, which nobody knows
/// beforehand, whatever attributes come with it. What root mounts has to bear an attribute
/// that only root can set (`trusted`, xattr(7)): else a user could mark a file of his own,
/// and have root take it over.
enum OriginMark {
  private static var name: String {
    (geteuid() == 0 ? "trusted" : "user") + ".floe.origin"
  }

  /// Marks a file that this process made. Where the file system has no such attributes, or
  /// does not keep when a file was made, the file stays without a mark.
  static func set(on descriptor: Int32) {
    guard let value = value(of: descriptor) else { return }
    _ = value.withUnsafeBytes {
      floe_set_attribute(descriptor, name, $0.baseAddress, $0.count)
    }
  }

  /// Whether a file bears the mark of this host.
  static func isSet(on descriptor: Int32) -> Bool {
    guard let value = value(of: descriptor) else { return false }
    var found = [UInt8](repeating: 0, count: value.count + 1)
    let count = floe_get_attribute(descriptor, name, &found, found.count)
    return count == value.count && found.dropLast() == value[...]
  }

  private static func value(of descriptor: Int32) -> [UInt8]? {
    var origin = floe_origin()
    guard floe_origin(descriptor, &origin) == 0 else { return nil }
    return Array("\(origin.inode) \(origin.seconds).\(origin.nanoseconds)".utf8)
  }
}
