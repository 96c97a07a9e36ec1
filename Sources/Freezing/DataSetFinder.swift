import BtrfsProvider
import FrozenImage
import Glibc
import HostSystem
import LogicalRepresentation
import StackProvider
import SystemPackage

/// Finds what a path or a name means.
package struct DataSetFinder {
  /// Where to look for LVM2 physical volumes; empty for all block devices.
  package var physicalVolumes: [String] = []
  /// What the user says that is there.
  package var formats: [Format] = []
  /// Files outside its own directory that a disk image may lead to.
  package var backing: [String] = []
  /// Whether the user promises that a volume rests.
  package var assumesFrozen = false

  package init() {}

  /// What a disk image is, or which file system is on top.
  package enum Format: String, CaseIterable, Sendable {
    case raw, qcow2, ext2, ext3, ext4

    /// What the disk at the start is; `nil` for a file system.
    var disk: StackPlace.ImageFormat? {
      switch self {
      case .raw: .raw
      case .qcow2: .qcow2
      case .ext2, .ext3, .ext4: nil
      }
    }

    /// Whether it is a disk image's format.
    package var isDisk: Bool { disk != nil }
  }

  /// - Throws: `Failure`, `BtrfsError` or `StackError` that says why it cannot be frozen.
  package func find(_ text: String) throws -> any DataSet {
    if let (path, selectors) = StackPlace.split(text) {
      var status = stat()
      guard stat(path, &status) == 0 else {
        throw Failure("\(path)", cause: Errno(rawValue: errno))
      }
      switch status.st_mode & S_IFMT {
      case S_IFDIR:
        guard selectors.isEmpty else {
          throw Failure(.invalid, "\(path) is a directory: it has no parts")
        }
        return try BtrfsFreezer.isBtrfs(at: path)
          ? BtrfsDataSet(path: path)
          : MountedDataSet(path: path, assumesFrozen: assumesFrozen)
      case S_IFBLK:
        // As it was named: what a link such as /dev/disk/by-id/… leads to has another name
        // after the next start of the host.
        return try StackDataSet(place(.path(HostPath.absolute(path)), selectors: selectors))
      case S_IFREG:
        return try StackDataSet(
          place(.path(HostPath.resolved(path) ?? path), selectors: selectors))
      default:
        throw Failure(.invalid, "\(path) is neither a directory, nor a file, nor a block device")
      }
    }
    var status = stat()
    guard lstat(text, &status) != 0 else {
      throw Failure(.invalid, "\(text) is a symbolic link that leads to nothing")
    }
    // VG/LV, which is no path below the present directory.
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let names = parts[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    if names.count == 2, names.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) {
      return try StackDataSet(
        place(.volumeGroup(names[0]), selectors: [names[1]] + parts.dropFirst()))
    }
    throw Failure(.notFound, "\(text): there is no such file or volume")
  }

  private func place(_ start: StackPlace.Start, selectors: [String]) -> StackPlace {
    StackPlace(
      start: start, selectors: selectors, physicalVolumes: physicalVolumes.map(HostPath.absolute),
      format: formats.compactMap(\.disk).first,
      content: formats.contains { !$0.isDisk } ? .ext : nil,
      backing: backing.map(HostPath.absolute),
      assumesFrozen: assumesFrozen)
  }
}
