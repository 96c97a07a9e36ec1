import Glibc
import SystemPackage

/// The path of the subvolume that a directory is in; `nil` when its top is not mounted
/// where the directory is seen, as below a bind mount.
func subvolumeRoot(above path: String) -> String? {
  var place = FilePath(path)
  var first = stat()
  guard stat(path, &first) == 0 else { return nil }
  while place.removeLastComponent() {
    var status = stat()
    // Every subvolume has a device number of its own.
    guard stat(place.string, &status) == 0, status.st_dev == first.st_dev else { return nil }
    if status.st_ino == InodeNumbers.root { return place.string }
  }
  return nil
}
