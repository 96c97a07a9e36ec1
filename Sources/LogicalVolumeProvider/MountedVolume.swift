import BlockMappers
import CKernelDevices
import DataSets
import FrozenImage
import Glibc
import HostSystem
import SystemPackage

/// A file system that is mounted straight from a logical volume, so that lvm2 freezes it while it
/// makes a snapshot.
struct MountedVolume {
  /// The identifiers of the group and the volume.
  let id: (group: String, volume: String)
  /// The volume's block device: its number, and its path.
  let number: DeviceNumber
  let device: String
  /// The same as it was mounted, for messages.
  private let source: String
  /// The kernel's type of the file system.
  let type: String
  let mountpoint: String
  private let root: String
  /// Whether the file system as a whole may be written, whatever a mount of it says.
  let isWritable: Bool
  /// As long as it is open, the file system is not unmounted.
  private let held: HeldDirectory

  /// - Parameter path: of a directory.
  /// - Returns: `nil` when the directory is on something else.
  /// - Throws: `StackError` when it cannot be looked at.
  init?(_ path: String) throws(StackError) {
    let opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { throw StackError(cannot: "open \(path)", Errno(rawValue: errno)) }
    let held = HeldDirectory(descriptor: opened)
    guard
      let status = try? FileStatus(
        of: FileDescriptor(rawValue: opened), generation: 0, readsFlags: false),
      let mount = try MountEntry.find(mount: status.mount),
      MountedKind(rawValue: mount.type) != nil,
      let device = try? BlockDevice.path(
        major: status.device.major, minor: status.device.minor),
      let id = try StackDevice.find(device)?.logicalVolume
    else { return nil }
    self.id = id
    self.held = held
    number = status.device
    self.device = device
    source = mount.source
    type = mount.type
    mountpoint = mount.mountpoint
    root = mount.root
    isWritable = !mount.superOptions.contains("ro")
  }

  /// A snapshot shows all of a file system.
  ///
  /// - Throws: `StackError` that says which directory to name instead.
  func requireTop(_ path: String) throws(StackError) {
    guard let real = realpath(path, nil) else {
      throw StackError(cannot: "look at \(path)", Errno(rawValue: errno))
    }
    defer { free(real) }
    let isMountpoint = PathText.text(cString: real) == mountpoint
    guard root != "/" || !isMountpoint else { return }
    let advice =
      root == "/"
      ? "freeze \(mountpoint)"
      : "freeze the directory where all of it is mounted (findmnt \(source))"
    throw StackError(
      .invalid,
      "\(path) is a part of the \(type) on \(source), of which a snapshot shows all: \(advice)")
  }

  /// Whether it is mounted still, when its snapshot was made.
  ///
  /// - Throws: `StackError` when it is not, or was made read-only, so that what the snapshot holds
  ///   need not be at rest.
  func requireMounted() throws(StackError) {
    let status = try? FileStatus(
      of: FileDescriptor(rawValue: held.descriptor), generation: 0, readsFlags: false)
    guard let status, status.device == number,
      let mount = try MountEntry.find(mount: status.mount), !mount.superOptions.contains("ro")
    else {
      throw StackError(
        .inUse,
        "the file system of \(mountpoint) was unmounted or made read-only while its snapshot was "
          + "made, so the snapshot is removed: freeze it again")
    }
  }

  /// Other file systems that are mounted below it, of which its snapshot shows nothing: where.
  var mountedBelow: [String] {
    let prefix = mountpoint == "/" ? "/" : mountpoint + "/"
    // Those that the kernel makes up hold no data.
    let entries = ((try? MountEntry.all()) ?? []).filter { entry in
      entry.mountpoint.hasPrefix(prefix) && entry.mountpoint != mountpoint
        && (entry.source.hasPrefix("/dev/") || entry.source.contains(":"))
    }
    return Array(Set(entries.map(\.mountpoint))).sorted()
  }

  /// Writes out what programs wrote, so that the kernel has little to do while nobody can write.
  ///
  /// - Throws: `StackError` when the kernel cannot.
  func writeOut() throws(StackError) {
    if MountedKind(rawValue: type) == .xfs { Self.beginRecord(in: held.descriptor) }
    for _ in 0..<3 {
      let begin = MonotonicClock.now()
      guard ckernel_write_out(held.descriptor) == 0 else {
        throw StackError(cannot: "write out \(mountpoint)", Errno(rawValue: errno))
      }
      guard MonotonicClock.now() - begin > Self.shortSync else { return }
    }
  }

  /// Changes something in a file system that nobody sees, so that its log goes on.
  ///
  /// What XFS replayed at a mount lies in its log, from the tail to the head, until something is
  /// changed after it: a freeze adds nothing to a log that waits for nothing (`xfs_log_cover`,
  /// fs/xfs/xfs_log.c), and what is in its place then looks as if it were not. Where no file can
  /// be made, that is refused when the log is looked at.
  ///
  /// - Parameter directory: one of the file system, open.
  static func beginRecord(in directory: Int32) {
    _ = ckernel_touch(directory, Self.patience)
  }

  /// Milliseconds that are waited for a file system that somebody has frozen.
  private static let patience: Int32 = 2000

  /// Nanoseconds.
  private static let shortSync: UInt64 = 200_000_000
}

/// A directory that is open.
private final class HeldDirectory: Sendable {
  let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }
}
