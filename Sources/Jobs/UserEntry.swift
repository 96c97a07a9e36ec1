import Glibc

/// Users of this host (getpwnam_r(3)).
enum UserEntry {
  /// The number of a user's own group; `nil` when there is no user of that name.
  static func group(of name: String) -> gid_t? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var room = [CChar](repeating: 0, count: 65_536)
    guard getpwnam_r(name, &entry, &room, room.count, &found) == 0, found != nil else { return nil }
    return entry.pw_gid
  }
}
