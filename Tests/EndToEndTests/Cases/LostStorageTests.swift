import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Media and snapshots that are no longer what was mounted.
  @Suite("Lost storage", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct LostStorage {
    private func mountImageFile(_ site: Site) throws -> BackupHost {
      try BackupHost(
        site.production.source(Site.image),
        media: site.volume.devices.map { ($0.medium, $0.image) },
        options: ["--remap-timeout", "1"], in: site.scratch)
    }

    /// The path names another medium of the same size now. What is open stays the old
    /// one; it may be read as long as its witness holds, the new one never.
    @Test("A medium's path names another one of the same size")
    func replaced() throws {
      let site = try Site(small: .single)
      let backup = try mountImageFile(site)
      var verifier = try site.verifier(backup)
      #expect(try verifier.read(pieces: 20).failures == 0)
      let image = site.volume.devices[0].image
      let other = try Volume(.single, in: site.scratch, megabytes: 1024, name: "other")
      #expect(rename(image, "\(image).away") == 0)
      #expect(rename(other.devices[0].image, image) == 0)
      let tally = try verifier.read(pieces: 100)
      #expect(tally.failures == 0, "\(tally)")
      try backup.unmount()

      let mountpoint = try site.scratch.directory("again")
      let refused = try attempt(
        Floe.program,
        [
          "mount", site.production.source(Site.image), mountpoint, "--foreground", "--medium",
          "\(site.volume.devices[0].medium)=\(image)",
        ], seconds: 120)
      #expect(!refused.succeeded)
      #expect(refused.errors.contains("identity"), "\(refused.errors)")
    }

    /// The bytes change under the open file: another volume is written over the medium.
    @Test("Another volume is written over the medium: EIO before any of its bytes")
    func overwritten() throws {
      let site = try Site(small: .single)
      let backup = try mountImageFile(site)
      var verifier = try site.verifier(backup)
      #expect(try verifier.read(pieces: 20).failures == 0)
      try site.production.stopService()
      try site.volume.unmount()
      let other = try Volume(.single, in: site.scratch, megabytes: 1024, name: "other")
      try other.unmount()
      try run(
        "dd",
        [
          "if=\(other.devices[0].image)", "of=\(site.volume.devices[0].image)", "bs=1M",
          "conv=notrunc",
        ])
      try expectErrors(&verifier, backup)
      try backup.unmount()
    }

    @Test("A medium shrinks under the reader: EIO")
    func shrunk() throws {
      let site = try Site(small: .single)
      let backup = try mountImageFile(site)
      var verifier = try site.verifier(backup)
      #expect(try verifier.read(pieces: 20).failures == 0)
      try site.production.killService()
      // Nothing of a file lies so near to the beginning, the superblock does.
      try run("truncate", ["-s", "1M", site.volume.devices[0].image])
      try expectErrors(&verifier, backup)
      #expect(
        backup.process.errors.contains("the medium ends there"), "\(backup.process.errors)")
      try backup.unmount()
    }

    @Test("The snapshot is deleted under the reader: ESTALE")
    func snapshotDeleted() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      #expect(try verifier.read(pieces: 20).failures == 0)
      try run("btrfs", ["subvolume", "delete", "--commit-after", site.snapshot])
      let tally = try verifier.read(pieces: 50)
      #expect(tally.failed == [ESTALE: 50], "\(tally)")
      expectComplaint(backup)
      try backup.unmount()
    }

    /// Every read past the page cache fails, and the log says why.
    private func expectErrors(_ verifier: inout Verifier, _ backup: BackupHost) throws {
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let tally = try verifier.read(pieces: 5)
      #expect(tally.failed == [EIO: 5], "\(tally)")
      expectComplaint(backup)
    }

    /// The log has more than what is told of every mount.
    private func expectComplaint(_ backup: BackupHost) {
      let lines = backup.process.errors.split(separator: "\n")
      #expect(lines.contains { !$0.contains(" notice: ") }, "\(lines)")
    }
  }
}
