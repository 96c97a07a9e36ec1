import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A FUSE mount that keeps everybody out but who mounted it.
///
/// Whether a process may enter one does not depend on the user that it acts as on files: the
/// kernel asks for all its other user numbers (`fuse_allow_current_process`, fs/fuse/dir.c).
/// So root that acts as another user passes where that user himself would not.
enum FuseBarrier {
  /// The mount on the way to an open file that a user could not enter.
  ///
  /// - Throws: why nothing tells: then he may as well not.
  static func onTheWay(
    to descriptor: Int32, for owner: FileOwner
  ) throws(Errno) -> MountEntry? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/fd/\(descriptor)", &bytes, bytes.count)
    guard count > 0, count < bytes.count else { throw count < 0 ? Errno.current : .fileNameTooLong }
    let path = PathText.text(of: bytes[..<count].map { UInt8(bitPattern: $0) })
    return find(onTheWayTo: path, for: owner, amongst: try MountEntry.all())
  }

  /// - Parameter path: without links.
  static func find(
    onTheWayTo path: String, for owner: FileOwner, amongst mounts: [MountEntry]
  ) -> MountEntry? {
    let place = FilePath(path)
    return mounts.first { mount in
      let isOwn = mount.fuseUser == owner.user && owner != .anybody
      return mount.isFUSE && !isOwn && !mount.superOptions.contains("allow_other")
        && place.starts(with: FilePath(mount.mountpoint))
    }
  }
}
