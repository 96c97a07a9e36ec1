import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Media that fail on the backup host's side alone, over nbdkit and nbdfuse.
  @Suite("Faults of media", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct Faults {
    /// Mounts with one medium behind a path that can fail, the others as they are.
    private func mount(
      _ site: Site, through path: FaultyPath, options: [String] = []
    ) throws -> BackupHost {
      let media = site.volume.devices.enumerated().map { number, device in
        (id: device.medium, path: number == 0 ? path.path : device.loop)
      }
      return try BackupHost(
        site.production.source(Site.image), media: media, options: options, in: site.scratch)
    }

    private func expectRight(
      _ verifier: inout Verifier, pieces: Int = 100,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let tally = try verifier.read(pieces: pieces, sourceLocation: sourceLocation)
      #expect(tally.failures == 0, "\(tally)", sourceLocation: sourceLocation)
    }

    /// Waits until reads are right again without a new mount.
    private func waitForReads(_ verifier: inout Verifier) throws {
      try waitUntil("reads are right again") { try verifier.read(pieces: 5).failures == 0 }
      try expectRight(&verifier)
    }

    @Test("RAID1, all of one leg fails: the reader sees no error")
    func failingLeg() throws {
      let site = try Site(small: .raid1)
      let path = try FaultyPath(to: site.volume.devices[0].image, in: site.scratch)
      let backup = try mount(site, through: path)
      var verifier = try site.verifier(backup)
      try expectRight(&verifier)
      try path.fail()
      try expectRight(&verifier, pieces: 300)
      let mover = try site.mover("balance", "rewrite")
      try mover.waitForTurns(2)
      try expectRight(&verifier, pieces: 100)
      path.heal()
      try expectRight(&verifier)
      try mover.stop()
      #expect(try backup.status().errors == 0)
      try backup.unmount()
    }

    @Test("RAID1, places of one leg fail: the other leg is read, without the production host")
    func badPlacesOfOneLeg() throws {
      let site = try Site(small: .raid1)
      let path = try FaultyPath(to: site.volume.devices[0].image, .badPlaces, in: site.scratch)
      let backup = try mount(site, through: path)
      try path.fail()
      try site.production.killService()
      // Mirrored bytes without data checksums need the production host.
      let mirrored = Tree.smallFiles.filter { !$0.contains("no-checksums") }
      var verifier = try Verifier(
        reference: site.snapshot, mount: backup.mountpoint, files: mirrored)
      try expectRight(&verifier, pieces: 200)
      let status = try backup.status()
      #expect(status.errors == 0 && status.bytes.production_host == 0, "\(status)")
      #expect(backup.process.errors.contains("another copy was read"), "\(backup.process.errors)")
      try backup.unmount()
    }

    @Test("RAID1 over two exports, reads of one fail now and then: no error at the reader")
    func failsAtARate() throws {
      let site = try Site(small: .raid1)
      let paths = try zip(
        site.volume.devices, [FaultyPath.Fault.sometimes(percent: 20), .everywhere]
      ).map { try FaultyPath(to: $0.image, $1, in: site.scratch) }
      let backup = try BackupHost(
        site.production.source(Site.image),
        media: zip(site.volume.devices, paths).map { ($0.medium, $1.path) }, in: site.scratch)
      let mover = try site.mover("balance", "rewrite")
      var verifier = try site.verifier(backup)
      try expectRight(&verifier)
      try paths[0].fail()
      // Few: the near server waits for a second after each that fails.
      try expectRight(&verifier, pieces: 30)
      paths[0].heal()
      try mover.stop()
      let status = try backup.status()
      #expect(status.errors == 0, "\(status)")
      try backup.unmount()
    }

    @Test("No mirror: the production host has what the medium does not give")
    func readThrough() throws {
      let site = try Site(small: .single)
      let path = try FaultyPath(to: site.volume.devices[0].image, in: site.scratch)
      let backup = try mount(site, through: path)
      try path.fail()
      var verifier = try site.verifier(backup)
      try expectRight(&verifier)
      #expect(try backup.status().bytes.production_host > 0)
      path.heal()
      try waitUntil("the storage is read again") {
        let before = try backup.status().bytes.storage
        try expectRight(&verifier, pieces: 20)
        return try backup.status().bytes.storage > before
      }
      try backup.unmount()
    }

    /// What looks at every block device of a host meets some that have nothing to do with it.
    @Test("A device that never answers hangs neither the search for media nor the end of floe")
    func silentDevice() throws {
      let site = try Site(small: .single)
      let other = "\(site.scratch.path)/other"
      try run("truncate", ["-s", "64M", other])
      let path = try FaultyPath(to: other, in: site.scratch)
      let device = try Volume.attach(path.path)
      // The device goes only once what was asked of it has ended.
      defer {
        try? path.kill()
        _ = try? attempt("losetup", ["-d", device], seconds: 60)
      }
      path.hang()
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let mountpoint = try site.scratch.directory("found")
      let source = site.production.source(Site.image)
      let mounted = try attempt(Floe.program, ["mount", source, mountpoint], seconds: 120)
      #expect(mounted.succeeded, "\(mounted.errors)")
      var verifier = try Verifier(
        reference: site.snapshot, mount: mountpoint, files: Tree.smallFiles)
      try expectRight(&verifier)
      try run(Floe.program, ["umount", mountpoint])

      // What is not found may be what does not answer.
      try site.production.stopService()
      let file = "\(site.scratch.path)/image.floe"
      try run(
        Floe.program,
        [
          "freeze", site.snapshot, "--name", "file", "--state", site.production.state, "-o", file,
        ])
      try site.volume.unmount()
      for device in site.volume.devices { try run("losetup", ["-d", device.loop]) }
      let refused = try attempt(Floe.program, ["mount", file, mountpoint], seconds: 120)
      #expect(refused.errors.contains("\(device) did not answer"), "\(refused.errors)")
    }

    @Test("No mirror and no production host: EIO, and rsync copies what can be read")
    func badPlacesWithoutMirror() throws {
      let site = try Site(small: .single)
      let path = try FaultyPath(to: site.volume.devices[0].image, .badPlaces, in: site.scratch)
      let backup = try mount(site, through: path, options: ["--remap-timeout", "0.5"])
      try path.fail()
      try site.production.killService()
      // Few files, and no large ones: each read that fails takes the timeout.
      let names = Tree.smallFiles.filter { $0.hasPrefix("files/0/") }
      let copy = try site.scratch.directory("copy")
      let rsync = try attempt("rsync", ["-aHSR", "\(backup.mountpoint)/./files/0", copy])
      #expect(rsync.ending == .exited(23), "\(rsync.errors)")
      #expect(rsync.errors.contains("Input/output error"), "\(rsync.errors)")

      var (copied, unreadable) = (0, 0)
      for name in names {
        if access("\(copy)/\(name)", F_OK) == 0 {
          #expect(
            try readFile("\(copy)/\(name)") == readFile("\(site.snapshot)/\(name)"), "\(name)")
          copied += 1
        } else {
          #expect(throws: HarnessError.self, "\(name)") {
            try readFile("\(backup.mountpoint)/\(name)")
          }
          unreadable += 1
        }
      }
      #expect(copied > 0 && unreadable > 0, "\(copied) copied, \(unreadable) unreadable")

      path.heal()
      var verifier = try site.verifier(backup)
      try waitForReads(&verifier)
      let again = try attempt("rsync", ["-aHSR", "\(backup.mountpoint)/./files/0", copy])
      #expect(again.succeeded, "\(again.errors)")
      for name in names {
        #expect(try readFile("\(copy)/\(name)") == readFile("\(site.snapshot)/\(name)"), "\(name)")
      }
      try backup.unmount()
    }

    @Test("The path to a medium is lost, and this host has another one: all is right")
    func anotherPath() throws {
      let site = try Site(small: .single)
      let path = try FaultyPath(to: site.volume.devices[0].image, in: site.scratch)
      let backup = try mount(site, through: path)
      var verifier = try site.verifier(backup)
      try expectRight(&verifier)
      try site.production.killService()
      try path.kill()
      try expectRight(&verifier)
      #expect(try backup.status().errors == 0)
      try path.start()
      try expectRight(&verifier)
      try backup.unmount()
    }

    @Test(
      "The medium's server is killed, shows another medium, then the right one: EIO, then right")
    func serverComesBack() throws {
      let scratch = try Scratch()
      func make(_ name: String) throws -> String {
        try Ext4Image.make(in: scratch, megabytes: 64, name: name) {
          try $0.writer.random("file", bytes: 30_000_000)
        }
      }
      let image = try make("ext4.img")
      let other = try make("other.img")
      let reference = try Ext4Image.reference(image, in: scratch)
      let production = try ProductionHost(in: scratch)
      try run(Floe.program, ["freeze", image, "--name", "ext", "--state", production.state])
      try production.serve()
      // Where the production host recorded it this host would find it again.
      let moved = "\(scratch.path)/moved.img"
      try run("mv", [image, moved])
      let path = try FaultyPath(to: moved, in: scratch)
      let backup = try BackupHost(
        production.source("ext"), media: [(id: image, path: path.path)],
        options: ["--remap-timeout", "1"], in: scratch)
      var verifier = try Verifier(
        reference: reference, mount: backup.mountpoint, files: ["file"])
      // Its loop device shows the same bytes, and would be taken for another path.
      try run("umount", [reference])
      try expectRight(&verifier, pieces: 5)
      try production.killService()
      try path.kill()
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let without = try verifier.read(pieces: 3)
      #expect(without.failed == [EIO: 3], "\(without)")
      // Another medium of the same size at the same path.
      try path.start(showing: other)
      let wrong = try verifier.read(pieces: 10)
      #expect(wrong.failed == [EIO: 10], "\(wrong)")
      try path.kill()
      try path.start(showing: moved)
      try waitForReads(&verifier)
      try backup.unmount()
    }

    @Test("A medium that is not of this host's file systems ends anywhere: its last bytes too")
    func oddEnd() throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/raw"
      try run("dd", ["if=/dev/urandom", "of=\(image)", "bs=512", "count=4099"])
      let file = "\(scratch.path)/raw.floe"
      try run(Floe.program, ["freeze", image, "--assume-frozen", "-o", file])
      let path = try FaultyPath(to: image, in: scratch)
      let backup = try BackupHost(file, media: [(id: image, path: path.path)], in: scratch)
      #expect(try readFile("\(backup.mountpoint)/data.img") == readFile(image))
      // Not by another path to the same bytes.
      let log = backup.process.errors
      #expect(!log.contains(" warning: ") && !log.contains(" error: "), "\(log)")
      try backup.unmount()
    }

    @Test("The medium is late: all is right")
    func late() throws {
      let site = try Site(small: .single)
      let path = try FaultyPath(
        to: site.volume.devices[0].image, .late(milliseconds: 20), in: site.scratch)
      let backup = try mount(site, through: path)
      let mover = try site.mover()
      var verifier = try site.verifier(backup)
      try expectRight(&verifier, pieces: 60)
      try mover.stop()
      try expectRight(&verifier, pieces: 60)
      try backup.unmount()
    }
  }
}
