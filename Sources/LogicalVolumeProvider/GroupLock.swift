import Glibc
import HostSystem

/// The lock that a guard holds while lvm2 works at a volume group under it. What stands in its
/// file says which origin floe's own lvm2 may have suspended; a guard that is killed leaves it
/// there, so that nobody else's suspension is ever taken for one of floe's.
///
/// It lies in /run, which is empty after a start of the host, as no device is suspended then.
struct GroupLock: ~Copyable {
  private let file: Int32

  /// - Parameter group: the group's identifier without dashes.
  /// - Returns: `nil` when the file cannot be opened.
  init?(group: String) {
    file = open("/run/floe-\(group).lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard file >= 0 else { return nil }
  }

  deinit { close(file) }

  /// Takes the lock unless somebody has it; it lasts as long as this value.
  func take() -> Bool { flock(file, LOCK_EX | LOCK_NB) == 0 }

  /// The origin that a guard began to watch over and did not leave; empty when there is none.
  var origin: String {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = pread(file, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  /// - Returns: whether it is noted.
  func note(_ origin: String) -> Bool {
    let bytes = Array(origin.utf8)
    return ftruncate(file, 0) == 0 && pwrite(file, bytes, bytes.count, 0) == bytes.count
  }

  /// Nothing is suspended any more by floe's lvm2.
  func forget() {
    // What stays there is compared with what is suspended.
    _ = ftruncate(file, 0)
  }
}
