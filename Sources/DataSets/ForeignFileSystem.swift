import CFileMap
import FrozenImage
import Glibc
package import HostSystem
package import SystemPackage

/// A mounted file system of a type that floe does not read, and what the user can do.
package struct ForeignFileSystem {
  /// Where this host has it mounted, and its type.
  package let mount: MountEntry

  /// - Returns: `nil` when it is of a type that floe reads.
  package init?(_ mount: MountEntry) {
    guard MountedKind(rawValue: mount.type) == nil else { return nil }
    self.mount = mount
  }

  /// - Returns: `nil` when an open directory is on a type that floe reads, or its mount
  ///   cannot be told.
  package init?(of directory: FileDescriptor) throws(StackError) {
    var found = cfilemap_status()
    guard cfilemap_look(directory.rawValue, &found) == 0, found.mount != 0,
      let mount = try MountEntry.find(mount: found.mount)
    else { return nil }
    self.init(mount)
  }

  /// Why a file is no disk image where the kernel makes up its bytes as they are read; `nil`
  /// anywhere else.
  package static func refusal(ofFile path: String) throws(StackError) -> StackError? {
    let opened = open(path, cfilemap_o_path | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    defer { close(opened) }
    guard let found = try ForeignFileSystem(of: FileDescriptor(rawValue: opened)),
      kernel.contains(found.mount.type)
    else { return nil }
    return found.refusal(of: path)
  }

  /// Why a directory on it is refused.
  package func refusal(of path: String) -> StackError {
    StackError(.unsupported, "\(path) is on \(mount.type)\(reason)")
  }

  private var reason: String {
    let type = mount.type
    if Self.kernel.contains(type) {
      return ", where the kernel shows its own state: there are no files on any storage to freeze"
    }
    if Self.memory.contains(type) {
      return
        ", which is kept in this host's memory, where no backup host reads: copy its files with "
        + "any other tool"
    }
    if Self.network.contains(type) {
      return ", a network file system (\(mount.source)): freeze it on the host that has its disks"
    }
    if type == "overlay" { return overlay }
    if type == "fuse.floe" { return ", which shows an image that is frozen already" }
    if type == "fuse" || type.hasPrefix("fuse.") {
      return ", whose files a program makes up (FUSE, \(mount.source)): freeze what it reads from"
    }
    if type == "autofs" { return ", where nothing is mounted yet: look into it, and try again" }
    if type == "zfs" { return ", which floe does not read: zfs send copies a snapshot of it" }
    let device =
      mount.source.hasPrefix("/dev/")
      ? "; while it is not mounted for writing, freeze \(mount.source) --assume-frozen takes it as a "
        + "raw volume" : ""
    return
      "; floe takes subvolumes of btrfs, and directories of ext2, ext3, ext4 and XFS\(device)"
  }

  /// The directories that an overlay is made of are files like any others.
  private var overlay: String {
    let layers = mount.superOptions.filter {
      $0.hasPrefix("upperdir=") || $0.hasPrefix("lowerdir=")
    }
    let list = layers.isEmpty ? "" : " (\(layers.joined(separator: ", ")))"
    return
      ", which shows directories of other file systems as one\(list): freeze the file systems that "
      + "they are on"
  }

  private static let kernel: Set<String> = [
    "proc", "sysfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "pstore",
    "bpf", "configfs", "efivarfs", "fusectl", "mqueue", "binfmt_misc", "rpc_pipefs", "nsfs",
    "selinuxfs",
  ]
  private static let memory: Set<String> = ["tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "rootfs"]
  private static let network: Set<String> = [
    "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs", "afs", "lustre", "orangefs", "beegfs",
    "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone",
  ]
}
