import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// The end of an image.
  @Suite("Thaw", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Thaw {
    @Test("Refused while a backup host has the image mounted")
    func refusedWhileMounted() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      let refused = try site.production.floe("thaw", Site.image)
      #expect(!refused.succeeded)
      for part in [backup.mountpoint, "--force", "60 seconds"] {
        #expect(refused.errors.contains(part), "\(refused.errors)")
      }
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      try backup.unmount()
      let thaw = try site.production.floe("thaw", Site.image, "--json")
      #expect(thaw.succeeded, "\(thaw.errors)")
      #expect(thaw.output.contains("\"image\" : \"\(Site.image)\""), "\(thaw.output)")
      #expect(access(site.snapshot, F_OK) != 0)
      #expect(try site.production.floe("images").output.contains(Site.image) == false)
    }

    @Test("Forced: readers get ESTALE")
    func forced() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      let thaw = try site.production.floe("thaw", Site.image, "--force")
      #expect(thaw.succeeded, "\(thaw.errors)")
      #expect(access(site.snapshot, F_OK) != 0)
      try site.volume.sync()
      let tally = try verifier.read(pieces: 50)
      #expect(tally.failed == [ESTALE: 50], "\(tally)")
      let status = try attempt(Floe.program, ["status", backup.mountpoint])
      #expect(status.ending == .exited(2))
      #expect(status.output.contains("thawed  "), "\(status.output)")
      try backup.unmount()
    }

    @Test("A read-only subvolume that was frozen stays, floe's snapshot of it goes")
    func foreignSnapshotStays() throws {
      let site = try Site(
        .single, megabytes: 512, takesSnapshot: true, serves: false
      ) { try $0.buildSmall() }
      let thaw = try site.production.floe("thaw", Site.image)
      #expect(thaw.succeeded, "\(thaw.errors)")
      #expect(access(site.snapshot, F_OK) != 0)
      #expect(access("\(site.volume.mountpoint)/taken", F_OK) == 0)
    }

    /// SIGKILL finds the freeze after its snapshot and before its representation;
    /// a freeze that was faster than the signal is thawed and tried again.
    @Test("A freeze that was killed leaves an orphan that is listed and can be thawed")
    func orphan() throws {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 1024)
      let production = try ProductionHost(in: scratch)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).build(
        Tree.Size(entries: 40_000, fragmented: 16 << 20, sparse: 16 << 20, files: 100))
      var wasCaught = false
      for _ in 0..<10 where !wasCaught {
        let freeze = try ChildProcess(
          Floe.program, ["freeze", source, "--name", "orphan", "--state", production.state])
        try waitUntil("the snapshot is there") {
          try freeze.hasEnded || !production.snapshots(beside: source).isEmpty
        }
        freeze.signal(SIGKILL)
        wasCaught = try freeze.wait() == .killed(signal: SIGKILL)
        let images = try production.floe("images")
        #expect(images.succeeded, "\(images.errors)")
        #expect(images.output.contains("orphan"), "\(images.output)")
        let thaw = try production.floe("thaw", "orphan")
        #expect(thaw.succeeded, "\(thaw.errors)")
        #expect(try production.snapshots(beside: source) == [])
        #expect(try production.floe("images").output.contains("orphan") == false)
      }
      #expect(wasCaught, "the freeze was always faster than the signal")
      try production.freeze(source, name: "orphan")
    }
  }
}
