import Glibc
import Testing

extension EndToEnd {
  /// Volumes that the production host mounts without all of their devices.
  @Suite("Missing devices")
  struct MissingDevices {
    /// A device that is missing on both hosts is not looked for, and nothing that has a
    /// copy elsewhere is missed.
    @Test("A degraded RAID1 is frozen with a note, mounted and read")
    func degraded() throws {
      let scratch = try Scratch()
      let volume = try Volume(.raid1, in: scratch, megabytes: 512)
      let production = try ProductionHost(in: scratch)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).buildSmall()
      try volume.unmount()
      _ = try volume.lose(1)
      try volume.mount(options: "degraded,\(Volume.options)")
      let freeze = try production.floe("freeze", source, "--name", "image")
      #expect(freeze.succeeded, "\(freeze.errors)")
      #expect(freeze.errors.contains("note: device 2 of the btrfs"), "\(freeze.errors)")
      let snapshot = try #require(try production.snapshots(beside: source).first)
      try production.serve()
      let backup = try BackupHost(production, "image", volume)
      var verifier = try Verifier(
        reference: snapshot, mount: backup.mountpoint, files: Tree.smallFiles)
      let tally = try verifier.read(pieces: 100)
      #expect(tally.failures == 0, "\(tally)")
      let status = try backup.status()
      #expect(status.errors == 0 && status.bytes.storage > 0, "\(status)")
      try backup.unmount()
    }
  }
}
