import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Processes that end, in every way.
  @Suite("Processes", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct Processes {
    /// Its attribute `btrfs.compression` can only be copied to another btrfs.
    private let compressed = "storage/compressed"

    @Test("floe serve is killed during a copy while nothing moves: the copy completes")
    func serviceKilledWhileStill() throws {
      let site = try Site(small: .singleOverTwo)
      let backup = try site.mount()
      let copy = try site.scratch.directory("copy")
      let rsync = try site.scratch.start(
        "rsync",
        ["-aHAXS", "--bwlimit=20m", "--exclude=/\(compressed)", "\(backup.mountpoint)/", copy])
      try waitUntil("rsync copied the first files") { try !names(in: copy).isEmpty }
      try site.production.killService()
      #expect(!rsync.hasEnded)
      #expect(try rsync.wait() == .exited(0), "\(rsync.errors)")
      try Manifest(.copy, of: copy).expectSame(
        as: Manifest(.copy, of: site.snapshot, skip: [compressed]), "the copy")
      // What is compressed needs nobody either.
      #expect(
        try readFile("\(backup.mountpoint)/\(compressed)")
          == readFile("\(site.snapshot)/\(compressed)"))
      try backup.unmount()
    }

    @Test("floe serve is killed while data moves: EIO, no wrong byte, and on it goes")
    func serviceKilledInMotion() throws {
      let site = try Site(small: .singleOverTwo)
      let backup = try site.mount(options: ["--remap-timeout", "2"])
      var verifier = try site.verifier(backup)
      let mover = try site.mover()
      try mover.waitForTurns(1)
      #expect(try verifier.read().failures == 0)
      try site.production.killService()
      try mover.waitForTurns(2)
      let without = try verifier.read(pieces: 5)
      #expect(without.failed == [EIO: 5], "\(without)")
      try site.production.serve()
      try waitUntil("reads go on") { try verifier.read(pieces: 10).failures == 0 }
      let again = try verifier.read(pieces: 200)
      #expect(again.failures == 0, "\(again)")
      try mover.stop()
      #expect(try backup.status().errors >= 5)
      try backup.unmount()
    }

    @Test("floe mount is killed: readers get an error, umount cleans up, mounting works")
    func mountKilled() throws {
      let site = try Site(small: .single)
      let backup = try site.mount()
      let file = open("\(backup.mountpoint)/\(Tree.smallFiles[0])", O_RDONLY)
      #expect(file >= 0)
      defer { close(file) }
      // The kernel keeps what it sees here.
      try run("ls", ["-ld", backup.mountpoint])
      backup.process.signal(SIGKILL)
      try backup.process.wait()
      var byte: UInt8 = 0
      #expect(pread(file, &byte, 1, 20 << 20) < 0)
      #expect(throws: HarnessError.self) { try names(in: backup.mountpoint) }
      // Each of them says how to go on.
      let cure = "floe umount \(backup.mountpoint)"
      for words in [
        ["mount", site.production.source(Site.image), backup.mountpoint],
        ["status", backup.mountpoint],
        ["explain", "\(backup.mountpoint)/\(Tree.smallFiles[0])", "0"],
      ] {
        let outcome = try attempt(Floe.program, words)
        #expect(!outcome.succeeded)
        let sentence = outcome.errors.split(separator: "\n").joined(separator: " ")
        #expect(
          sentence.hasSuffix(cure) || sentence.contains("\(cure))"), "\(words): \(sentence)")
      }
      try run(Floe.program, ["umount", backup.mountpoint])
      #expect(!BackupHost.isMounted(backup.mountpoint))
      let again = try site.mount()
      var verifier = try site.verifier(again)
      #expect(try verifier.read().failures == 0)
      try again.unmount()
    }

    @Test("floe mount in the background returns when the mount answers")
    func background() throws {
      let site = try Site(small: .single)
      let mountpoint = try site.scratch.directory("daemon")
      let media = site.volume.devices.flatMap { ["--medium", "\($0.medium)=\($0.loop)"] }
      try run(
        Floe.program, ["mount", site.production.source(Site.image), mountpoint] + media,
        seconds: 60)
      #expect(BackupHost.isMounted(mountpoint))
      #expect(try names(in: mountpoint) == ["files", "storage"])
      let status = try run(Floe.program, ["status", mountpoint])
      #expect(status.contains(Site.image))
      try run(Floe.program, ["umount", mountpoint])
      #expect(!BackupHost.isMounted(mountpoint))
      #expect(try names(in: mountpoint) == [])
    }

    @Test("The media are found by scanning, and two backup hosts read at once")
    func twoBackupHosts() throws {
      let site = try Site(small: .raid0)
      let source = site.production.source(Site.image)
      let hosts = try ["first", "second"].map {
        try BackupHost(source, media: [], in: site.scratch, name: $0)
      }
      let mover = try site.mover()
      var verifiers = try hosts.map { try site.verifier($0) }
      for turn in 0..<10 {
        let tally = try verifiers[turn % 2].read(pieces: 50)
        #expect(tally.failures == 0, "\(tally)")
      }
      try mover.stop()
      for host in hosts { try host.unmount() }
    }

    @Test("The image files themselves are media too")
    func imageFiles() throws {
      let site = try Site(small: .raid0)
      let backup = try BackupHost(
        site.production.source(Site.image),
        media: site.volume.devices.map { ($0.medium, $0.image) }, in: site.scratch)
      let mover = try site.mover()
      try mover.waitForTurns(1)
      var verifier = try site.verifier(backup)
      let tally = try verifier.read(pieces: 300)
      #expect(tally.failures == 0, "\(tally)")
      try mover.stop()
      try backup.unmount()
    }

    @Test("mount -t fuse.floe mounts an image, as /etc/fstab would")
    func mountHelper() throws {
      let site = try Site(small: .single)
      // mount(8) hands over to mount.fuse3(8), which runs the program that the type
      // names; mount(8) itself would look for it in the system's directories only.
      let programs = try site.scratch.directory("bin")
      try run("ln", ["-s", Floe.program, "\(programs)/floe"])
      let mountpoint = try site.scratch.directory("fstab")
      try run(
        "env",
        [
          "PATH=\(programs):/usr/sbin:/usr/bin:/sbin:/bin", "mount.fuse3",
          site.production.source(Site.image), mountpoint, "-t", "fuse.floe", "-o", "rw,noauto",
        ], seconds: 60)
      #expect(BackupHost.isMounted(mountpoint))
      #expect(try names(in: mountpoint) == ["files", "storage"])
      try run("umount", [mountpoint])
    }

    @Test("The service on TCP: on loopback only, as there is no TLS yet")
    func loopback() throws {
      let site = try Site(.single, megabytes: 512, serves: false) { try $0.buildSmall() }
      for address in ["0.0.0.0:17733", "192.0.2.1:17733"] {
        let refused = try site.production.floe("serve", "--listen", address)
        #expect(!refused.succeeded)
        #expect(refused.errors.contains("TLS"), "\(refused.errors)")
      }
      let port = Int.random(in: 20_000..<32_000)
      let service = try site.scratch.start(
        Floe.program,
        ["serve", "--listen", "127.0.0.1:\(port)", "--state", site.production.state])
      let source = "floe://127.0.0.1:\(port)/\(Site.image)"
      try waitUntil("the service answers at port \(port)") {
        if service.hasEnded { throw HarnessError(service.errors) }
        return try attempt(Floe.program, ["inspect", source]).succeeded
      }
      // A port may lead to any host, so what this one uses has to be named.
      let backup = try BackupHost(
        source, media: site.volume.devices.map { ($0.medium, $0.loop) }, in: site.scratch)
      var verifier = try site.verifier(backup)
      let tally = try verifier.read()
      #expect(tally.failures == 0, "\(tally)")
      try backup.unmount()
      service.signal(SIGTERM)
      #expect(try service.wait(seconds: 60) == .exited(0), "\(service.errors)")
    }
  }
}
