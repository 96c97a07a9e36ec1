import BtrfsProvider
import Glibc
import HostSystem
import StackProvider

/// Finds what a path or a name means.
struct DataSetFinder {
  /// Where to look for LVM2 physical volumes; empty for all block devices.
  let physicalVolumes: [String]
  /// What a disk image is, when the user says so.
  let format: StackPlace.ImageFormat?
  /// Which file system is on top, when the user says so.
  let content: StackPlace.Content?
  /// Files outside its own directory that a disk image may lead to.
  let backing: [String]
  /// Whether the user promises that a volume rests.
  let assumesFrozen: Bool

  /// - Throws: `Failure`, `BtrfsError` or `StackError` that says why it cannot be frozen.
  func find(_ text: String) throws -> any DataSet {
    if let (path, selectors) = StackPlace.split(text) {
      var status = stat()
      guard stat(path, &status) == 0 else {
        throw Failure("\(path): \(String(cString: strerror(errno)))")
      }
      switch status.st_mode & S_IFMT {
      case S_IFDIR:
        guard selectors.isEmpty else { throw Failure("\(path) is a directory: it has no parts") }
        return try BtrfsFreezer.isBtrfs(at: path)
          ? BtrfsDataSet(path: path)
          : MountedDataSet(path: path, assumesFrozen: assumesFrozen)
      case S_IFBLK:
        // As it was named: what a link such as /dev/disk/by-id/… leads to has another name
        // after the next start of the host.
        return try StackDataSet(place(.path(MountTable.absolute(path)), selectors: selectors))
      case S_IFREG:
        return try StackDataSet(
          place(.path(MountTable.resolved(path) ?? path), selectors: selectors))
      default:
        throw Failure("\(path) is neither a directory, nor a file, nor a block device")
      }
    }
    // VG/LV, which is no path below the present directory.
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let names = parts[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    if names.count == 2, names.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) {
      return try StackDataSet(
        place(.volumeGroup(names[0]), selectors: [names[1]] + parts.dropFirst()))
    }
    throw Failure("\(text): there is no such file or volume")
  }

  private func place(_ start: StackPlace.Start, selectors: [String]) -> StackPlace {
    StackPlace(
      start: start, selectors: selectors, physicalVolumes: physicalVolumes.map(MountTable.absolute),
      format: format, content: content, backing: backing.map(MountTable.absolute),
      assumesFrozen: assumesFrozen)
  }
}
