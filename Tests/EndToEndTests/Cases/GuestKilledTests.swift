import Glibc
import TestTags
import Testing

/// A copy of an image off the disk of a guest that dies meanwhile.
private struct DyingCopy {
  /// What each image holds: as many files, of 4 MiB each.
  static let files = 16

  let guest: Guest
  let name: String
  /// Where this machine has what was frozen.
  let reference: String
  /// Overwrites the origin.
  let writer: Guest.Script
  let backup: BackupHost
  let copy: String
  private let copying: ChildProcess

  init(
    _ name: String, of reference: String, while writer: (Guest) throws -> Guest.Script,
    on guest: Guest
  ) throws {
    self.guest = guest
    self.name = name
    self.reference = reference
    backup = try guest.mount(name, name: name)
    self.writer = try writer(guest)
    copy = try guest.scratch.directory("\(name)-copy")
    copying = try guest.scratch.start(
      "rsync", ["-a", "--bwlimit=2500", "\(backup.mountpoint)/", copy])
  }

  var copied: Int {
    get throws { try names(in: copy).count { $0.hasPrefix("file") } }
  }

  func expectHalf() throws {
    try waitUntil("some of \(name) was copied, and chunks moved", seconds: 120) {
      if let status = writer.status { throw HarnessError("\(status): \(writer.output)") }
      let written = writer.output.split(separator: "\n").count
      return try copied >= 4 && written >= 40
    }
  }

  /// The host is dead: the rest is copied all the same.
  func expectRight() throws {
    let ending = try copying.wait(seconds: 300)
    #expect(ending == .exited(0), "\(name): \(copying.errors)")
    try run("diff", ["-r", "-x", "lost+found", reference, copy])
    let status = try backup.status()
    print("killed guest, \(name): \(status.answers), \(status.remaps) remaps")
    #expect(status.errors == 0 && status.remaps > 0, "\(name): \(status)")
    #expect(
      status.answers.storage > 0 && status.answers.production_host == 0, "\(name): \(status)")
    #expect(!status.production_host.reachable, "\(name): \(status)")
    try backup.unmount()
  }

  /// Who comes later has the representation's file alone, and nothing lies where that says.
  func expectRightByFile(on disk: (id: String, path: String)) throws {
    let late = try BackupHost(
      "\(guest.folder)/\(name).floe", media: [disk], in: guest.scratch, name: "\(name)-late")
    try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
    try run("diff", ["-r", "-x", "lost+found", reference, late.mountpoint])
    #expect(try late.status().answers.storage > 0)
    try late.unmount()
  }
}

extension EndToEnd {
  /// A production host that dies: it has a guest of its own, which no other test needs.
  @Suite(
    "Guest that dies", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .needsGuest, .slow),
    .serialized, .enabled(if: GuestRequirements.testsRun, GuestRequirements.comment),
    SharedGuest(disks: [288, 448]))
  struct InGuestThatDies {
    private func build(_ tree: Tree) throws {
      for number in 0..<DyingCopy.files { try tree.writer.random("file\(number)", bytes: 4 << 20) }
    }

    @Test("Copies of snapshots are right although their host is killed in the middle of them")
    func killed() throws {
      let guest = try #require(Guest.current)
      let shared = InGuest()
      let thick = try shared.ext4(guest, megabytes: 96, build: build)
      try guest.run(
        """
        vgcreate -qq -y -s 1m dies /dev/vda
        lvcreate -qq -y -n data -l 96 dies
        dd if=/share/ext4.img of=/dev/dies/data bs=1M oflag=direct status=none
        mkdir -p /tmp/dies
        mount /dev/dies/data /tmp/dies
        lvcreate -qq -y -s -pr -n snap -L 128m dies/data
        $floe freeze dies/snap --name dies --state $state -o /share/dies.floe
        """)
      let live = try liveXFS(on: guest)
      try guest.serve()
      let copies = try [
        DyingCopy(
          "dies", of: thick,
          while: { try shared.startWriting("dies", bytes: 64 << 10, on: $0) }, on: guest),
        DyingCopy("livedies", of: live, while: startWritingFiles, on: guest),
      ]
      for copy in copies { try copy.expectHalf() }
      try guest.die()
      for copy in copies { #expect(try copy.copied < DyingCopy.files) }
      for copy in copies { try copy.expectRight() }
      try copies[0].expectRightByFile(on: ("/dev/vda", guest.disks[0]))
      try copies[1].expectRightByFile(on: ("/dev/vdb", guest.disks[1]))
      for reference in [thick, live] { try shared.forget(reference) }
    }

    /// Mounts an XFS for writing in the guest and freezes it by its directory; returns where
    /// this machine has the same one mounted.
    private func liveXFS(on guest: Guest) throws -> String {
      let image = "\(guest.scratch.path)/xfs.img"
      try run("truncate", ["-s", "304M", image])
      try run("mkfs.xfs", ["-q", image])
      let reference = try guest.scratch.directory("livedies-reference")
      try run("mount", ["-o", "loop", image, reference])
      try build(Tree(reference))
      try run("umount", [reference])
      try run("cp", ["--sparse=always", image, "\(guest.folder)/xfs.img"])
      try run("mount", ["-o", "loop,ro,nouuid", image, reference])
      try guest.run(
        """
        vgcreate -qq -y -s 1m livedies /dev/vdb
        lvcreate -qq -y -n data -l 304 livedies
        dd if=/share/xfs.img of=/dev/livedies/data bs=1M oflag=direct conv=sparse status=none
        rm /share/xfs.img
        mkdir -p /srv/livedies
        mount /dev/livedies/data /srv/livedies
        $floe freeze /srv/livedies --name livedies --state $state -o /share/livedies.floe
        """)
      return reference
    }

    /// Writes over the files of the mounted XFS.
    private func startWritingFiles(on guest: Guest) throws -> Guest.Script {
      try guest.start(
        """
        exec python3 -u - <<'END'
        import os, random, time
        files = [os.open("/srv/livedies/file%d" % n, os.O_WRONLY) for n in range(16)]
        while True:
            file = random.choice(files)
            os.pwrite(file, os.urandom(65536), random.randrange(64) * 65536)
            os.fsync(file)
            print("written")
            time.sleep(0.1)
        END
        """)
    }
  }
}
