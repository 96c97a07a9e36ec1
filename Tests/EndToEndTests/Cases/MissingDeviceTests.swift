import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Volumes that the production host mounts without all of their devices.
  @Suite("Missing devices", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
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

    /// A volume that was grown from another one lies on that one's device as well, until
    /// its blocks are moved.
    @Test("A volume that was grown from a seed is mounted and read, also while it moves off it")
    func seed() throws {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 1024)
      let production = try ProductionHost(in: scratch)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).buildSmall()
      try volume.unmount()
      let seed = volume.devices[0]
      try run("btrfstune", ["-S", "1", seed.loop])
      try volume.mount()
      let loop = try Volume.attach(volume.makeImage(megabytes: 1024))
      try run("btrfs", ["device", "add", loop, volume.mountpoint])
      try run("mount", ["-o", "remount,rw", volume.mountpoint])
      try writeFile("\(source)/new", [UInt8](repeating: 7, count: 100_000))
      let snapshot = try production.freeze(source, name: "image")
      try production.serve()
      let backup = try BackupHost(
        production.source("image"),
        media: [(seed.medium, seed.loop), (try Volume.medium(on: loop), loop)], in: scratch)
      var verifier = try Verifier(
        reference: snapshot, mount: backup.mountpoint, files: Tree.smallFiles + ["new"])
      let before = try verifier.read(pieces: 100)
      #expect(before.failures == 0, "\(before)")
      try run("btrfs", ["device", "remove", seed.loop, volume.mountpoint])
      let after = try verifier.read(pieces: 200)
      #expect(after.failures == 0, "\(after)")
      let status = try backup.status()
      #expect(status.errors == 0 && status.remaps > 0, "\(status)")
      try backup.unmount()
    }
  }
}
