import FrozenImage
import Glibc
import HostSystem
import TestTags
import Testing

@testable import DataSets
@testable import MountedTreeProvider

/// File systems that floe does not read, each refused by its name with what the user can do.
@Suite struct ForeignFileSystemTests {
  /// What the kernel cannot mount here has its line of mountinfo only.
  @Test(arguments: [
    (
      "nfs4", "nas:/export", "rw,vers=4.2",
      "nfs4, a network file system (nas:/export): freeze it on the host that has its disks"
    ),
    ("nfs", "nas:/export", "rw", "nfs, a network file system (nas:/export)"),
    ("cifs", "//nas/share", "rw", "cifs, a network file system (//nas/share)"),
    ("ceph", "10.0.0.1:/", "rw", "ceph, a network file system (10.0.0.1:/)"),
    ("9p", "tag", "rw", "9p, a network file system (tag)"),
    ("virtiofs", "tag", "rw", "virtiofs, a network file system (tag)"),
    ("fuse.sshfs", "prod:/srv", "rw,user_id=0", "fuse.sshfs, a network file system (prod:/srv)"),
    (
      "fuse.mergerfs", "a:b", "rw,user_id=0",
      "fuse.mergerfs, whose files a program makes up (FUSE, a:b): freeze what it reads from"
    ),
    (
      "fuse", "portal", "rw,user_id=1000",
      "fuse, whose files a program makes up (FUSE, portal): freeze what it reads from"
    ),
    ("fuse.floe", "floe", "ro", "fuse.floe, which shows an image that is frozen already"),
    (
      "autofs", "/etc/auto.misc", "rw,fd=5",
      "autofs, where nothing is mounted yet: look into it, and try again"
    ),
    (
      "zfs", "tank/home", "rw,xattr",
      "zfs, which floe does not read: zfs send copies a snapshot of it"
    ),
    (
      "overlay", "overlay", "rw,lowerdir=/l,upperdir=/u,workdir=/w",
      "overlay, which shows directories of other file systems as one (lowerdir=/l, upperdir=/u)"
    ),
    ("tmpfs", "none", "rw", "tmpfs, which is kept in this host's memory"),
    ("ramfs", "none", "rw", "ramfs, which is kept in this host's memory"),
    ("proc", "proc", "rw", "proc, where the kernel shows its own state"),
    ("cgroup2", "none", "rw", "cgroup2, where the kernel shows its own state"),
    (
      "bcachefs", "/dev/sdb", "rw",
      "bcachefs; floe takes subvolumes of btrfs, and directories of ext2, ext3, ext4 and XFS; "
        + "while it is not mounted for writing, freeze /dev/sdb --assume-frozen"
    ),
    ("fuseblk", "/dev/sdc1", "rw,user_id=0", "freeze /dev/sdc1 --assume-frozen"),
  ])
  func isRefusedByName(type: String, source: String, options: String, words: String) throws {
    let line = "36 35 0:99 / /srv/data rw,relatime shared:7 master:2 - \(type) \(source) \(options)"
    let mount = try #require(MountEntry(line: Array(line.utf8)))
    let refusal = try #require(ForeignFileSystem(mount)?.refusal(of: "/srv/data/dir"))
    #expect(refusal.description.hasPrefix("/srv/data/dir is on \(type)"), "\(refusal)")
    #expect(refusal.description.contains(words), "\(refusal)")
    // A raw volume is no advice where there is no device.
    #expect(refusal.description.contains("--assume-frozen") == source.hasPrefix("/dev/"))
  }

  @Test func whatFloeReadsIsNotRefused() throws {
    for type in ["ext2", "ext3", "ext4", "xfs"] {
      let line = "36 35 8:1 / / rw - \(type) /dev/sda1 rw"
      #expect(ForeignFileSystem(try #require(MountEntry(line: Array(line.utf8)))) == nil)
    }
  }

  /// Nothing answers for it, so whoever looks deeper than at the top directory waits.
  @Test(.tags(.needsRoot), .enabled(if: geteuid() == 0, "needs root, to mount"))
  func autofsIsRefusedWithoutLookingIntoIt() throws {
    let directory = try shell("mktemp -d /tmp/floe-autofs-XXXXXX").trimmed
    defer {
      _ = try? shell("umount -l \(directory); rmdir \(directory)", ignoringFailure: true)
    }
    try shell(
      """
      python3 - \(directory) <<'PROGRAM'
      import ctypes, os, sys
      reading, writing = os.pipe()
      options = f'fd={writing},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect'
      libc = ctypes.CDLL(None, use_errno=True)
      if libc.mount(b'automap', sys.argv[1].encode(), b'autofs', 0, options.encode()) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
      PROGRAM
      """)
    let failure = #expect(throws: StackError.self) {
      _ = try MountedTree(path: directory, assumeFrozen: true)
    }
    #expect(
      failure?.description
        == "\(directory) is on autofs, where nothing is mounted yet: look into it, and try again")
  }
}
