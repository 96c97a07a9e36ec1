import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Motion of other kinds than a balance. Every test reads random pieces all the
  /// time; a wrong byte is an issue.
  @Suite("Motion", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct Motion {
    /// Reads until a program ends, and some more.
    private func read(
      _ verifier: inout Verifier, during program: ChildProcess
    ) throws -> Verifier.Tally {
      var total = Verifier.Tally()
      var turnsAfterEnd = 0
      while turnsAfterEnd < 3 {
        if program.hasEnded { turnsAfterEnd += 1 }
        let tally = try verifier.read(pieces: 40)
        total.right += tally.right
        total.wrong += tally.wrong
        total.failed.merge(tally.failed, uniquingKeysWith: +)
      }
      #expect(try program.wait() == .exited(0), "\(program.commandLine): \(program.errors)")
      return total
    }

    /// Reads pieces that all must be right, most of them from the storage: an image
    /// that went on through the production host alone would prove nothing.
    private func expectReads(
      _ verifier: inout Verifier, _ backup: BackupHost, pieces: Int = 400,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let before = try backup.status().bytes
      let tally = try verifier.read(pieces: pieces, sourceLocation: sourceLocation)
      let after = try backup.status().bytes
      #expect(tally.failures == 0, "\(tally)", sourceLocation: sourceLocation)
      #expect(
        after.storage - before.storage > after.production_host - before.production_host,
        "\(before), then \(after)", sourceLocation: sourceLocation)
    }

    /// Another user of a medium that the volume gave up.
    private func fillWithRandomBytes(_ path: String, megabytes: Int) throws {
      try run(
        "dd",
        ["if=/dev/urandom", "of=\(path)", "bs=1M", "count=\(megabytes)", "conv=notrunc,fsync"])
    }

    @Test("A device is removed from the volume, and used by somebody else")
    func deviceRemove() throws {
      let site = try Site(small: .raid0OverThree)
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      let removed = site.volume.devices[1]
      let remove = try site.scratch.start(
        "btrfs", ["device", "remove", removed.loop, site.volume.mountpoint])
      let during = try read(&verifier, during: remove)
      #expect(during.failures == 0, "\(during)")
      try fillWithRandomBytes(removed.loop, megabytes: 1024)
      try expectReads(&verifier, backup)
      #expect(try backup.status().remaps > 0)
      try backup.unmount()
    }

    @Test("A device is replaced, and used by somebody else")
    func deviceReplace() throws {
      let site = try Site(small: .raid0)
      // Media that are found, not named, so that the new one is looked for too.
      let backup = try BackupHost(
        site.production.source(Site.image), media: [], in: site.scratch)
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      let replaced = site.volume.devices[0]
      let new = try Volume.attach(try site.volume.makeImage(megabytes: 1024))
      let replace = try site.scratch.start(
        "btrfs", ["replace", "start", "-B", "-f", replaced.loop, new, site.volume.mountpoint])
      let during = try read(&verifier, during: replace)
      #expect(during.failures == 0, "\(during)")
      try fillWithRandomBytes(replaced.loop, megabytes: 1024)
      try expectReads(&verifier, backup)
      try backup.unmount()
    }

    /// The production host cannot reach the old leg, so it cannot scratch its
    /// superblock: the old leg goes on looking like the real one.
    @Test("A RAID1 leg that the production host cannot reach is replaced")
    func unreachableLegReplaced() throws {
      let site = try Site(small: .raid1)
      try site.production.stopService()
      try site.volume.unmount()
      let lost = try site.volume.lose(1)
      try site.volume.mount(options: Volume.options + ",degraded")
      try site.production.serve()
      let backup = try BackupHost(
        site.production.source(Site.image),
        media: site.volume.devices.map { ($0.medium, $0.loop) } + [(lost.medium, lost.image)],
        in: site.scratch)
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      let new = try Volume.attach(try site.volume.makeImage(megabytes: 1024))
      let replace = try site.scratch.start(
        "btrfs", ["replace", "start", "-B", "-f", "2", new, site.volume.mountpoint])
      let during = try read(&verifier, during: replace)
      #expect(during.failures == 0, "\(during)")
      let mover = try site.mover("balance", "rewrite")
      for _ in 0..<4 {
        try mover.waitForTurns(1)
        try expectReads(&verifier, backup, pieces: 200)
      }
      try mover.stop()
      try backup.unmount()
    }

    /// The leg was away while the volume moved on. All its bytes are readable, its
    /// identity is right, and its content is of yesterday.
    @Test("A RAID1 leg has gone stale")
    func staleLeg() throws {
      let site = try Site(small: .raid1OverThree)
      try site.production.stopService()
      try site.volume.unmount()
      let lost = try site.volume.lose(2)
      try site.volume.mount(options: Volume.options + ",degraded")
      let mover = try site.mover("balance", "rewrite")
      try mover.waitForTurns(2)
      try site.production.serve()
      let backup = try BackupHost(
        site.production.source(Site.image),
        media: site.volume.devices.map { ($0.medium, $0.loop) } + [(lost.medium, lost.image)],
        in: site.scratch)
      var verifier = try site.verifier(backup)
      for _ in 0..<2 {
        try expectReads(&verifier, backup, pieces: 200)
        try mover.waitForTurns(1)
      }
      try mover.stop()
      try backup.unmount()
    }

    /// Dedupe may touch a read-only snapshot: its bytes stay, their places do not.
    @Test("The snapshot's extents are deduplicated away")
    func dedupe() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      let name = "storage/fragmented"
      let copy = "\(site.volume.mountpoint)/copy"
      try run("cp", ["--reflink=never", "--sparse=never", "\(site.snapshot)/\(name)", copy])
      try site.volume.sync()
      try Dedupe.replace("\(site.snapshot)/\(name)", by: copy)
      try run("rm", ["\(site.source)/\(name)"])
      try site.volume.sync()
      let mover = try site.mover("rewrite", "discard")
      try mover.waitForTurns(6, of: "rewrite")
      try expectReads(&verifier, backup)
      try mover.stop()
      #expect(try backup.status().remaps > 0)
      try backup.unmount()
    }

    /// Nobody can promise an image's bytes any more when its snapshot was writable.
    @Test("The snapshot is made writable and written: ESTALE")
    func writtenSnapshot() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      #expect(try verifier.read().failures == 0)
      try run("btrfs", ["property", "set", "-f", "-t", "subvol", site.snapshot, "ro", "false"])
      for name in Tree.smallFiles {
        let path = "\(site.snapshot)/\(name)"
        try run("dd", ["if=/dev/urandom", "of=\(path)", "bs=64k", "count=1", "conv=notrunc"])
      }
      try site.volume.sync()
      let tally = try verifier.read(pieces: 200)
      #expect(tally.right == 0, "\(tally)")
      #expect(tally.failed == [ESTALE: 200], "\(tally)")
      try backup.unmount()
    }

    @Test("This host's page cache of the media is stale")
    func staleDeviceCache() throws {
      let site = try Site(small: .singleOverTwo)
      // The cache stays as long as somebody has the device open, as btrfs has.
      for device in site.volume.devices {
        try run("dd", ["if=\(device.loop)", "of=/dev/null", "bs=1M"])
      }
      let mover = try site.mover()
      try mover.waitForTurns(4)
      try mover.stop()
      try site.volume.sync()
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      try expectReads(&verifier, backup)
      try backup.unmount()
    }
  }
}
