import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Mounts of a representation that was given as a file.
  @Suite("Representation files", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct RepresentationFiles {
    @Test("Where the storage is not asked, a volume that moves needs the service of the file")
    func serviceOfTheFile() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.writer.random("file", bytes: 40_000_000)
      }
      let reference = try Ext4Image.reference(content, in: scratch)
      let volume = try LogicalVolume(in: scratch, content: content, megabytes: 64)
      let production = try ProductionHost(in: scratch)
      let file = "\(scratch.path)/lv.floe"
      try run(
        Floe.program,
        [
          "freeze", volume.path, "--name", "lv", "--state", production.state, "-o", file,
          "--service", production.source("lv"),
        ])
      let backup = try BackupHost(
        file, media: [], options: ["--remap-timeout", "2", "--answers", "host"], in: scratch)
      var verifier = try Verifier(
        reference: reference, mount: backup.mountpoint, files: ["file"])
      // At rest nobody is asked.
      #expect(try verifier.read(pieces: 20).failures == 0)

      let mover = try volume.mover()
      try waitUntil("the volume moved") { mover.turns(of: "move") >= 3 }
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let without = try verifier.read(pieces: 3)
      #expect(without.failed == [EIO: 3], "\(without)")
      #expect(backup.process.errors.contains("no service answers"), "\(backup.process.errors)")
      // Who mounts it now is told at once.
      let late = try mount(file, in: scratch)
      #expect(late.succeeded, "\(late.errors)")
      #expect(late.errors.contains("warning: what “lv” lies on changed"), "\(late.errors)")

      try production.serve()
      try waitUntil("reads go on") { try verifier.read(pieces: 3).failures == 0 }
      let again = try verifier.read(pieces: 200)
      #expect(again.failures == 0, "\(again) \(backup.process.errors)")
      let status = try backup.status()
      #expect(status.remaps > 0, "\(status)")
      try mover.stop()
      try backup.unmount()
    }

    @Test("An image that changed is not mounted, though nobody can be asked but its storage")
    func outdated() throws {
      let scratch = try Scratch()
      let disk = try Ext4Image.make(in: scratch, megabytes: 32) {
        try $0.writer.random("file", bytes: 1_000_000)
      }
      let file = "\(scratch.path)/disk.floe"
      try run(Floe.program, ["freeze", disk, "-o", file])
      let backup = try BackupHost(file, media: [], in: scratch)
      try backup.unmount()
      try run("tune2fs", ["-c", "5", disk])
      let again = try attempt(Floe.program, ["mount", file, backup.mountpoint])
      #expect(again.ending == .exited(1))
      #expect(again.errors.contains("“disk” is no longer frozen"), "\(again.errors)")
      #expect(!BackupHost.isMounted(backup.mountpoint))
    }

    /// Mounts a file in the background, and unmounts it.
    private func mount(_ file: String, in scratch: Scratch) throws -> Outcome {
      let mountpoint = try scratch.directory("late")
      let outcome = try attempt(
        Floe.program, ["mount", file, mountpoint, "--remap-timeout", "2", "--answers", "host"])
      if outcome.succeeded { try run(Floe.program, ["umount", mountpoint]) }
      return outcome
    }

    @Test("A user without privileges freezes a disk image, mounts it and reads it")
    func withoutPrivileges() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.writer.directory("readable")
        for number in 0..<50 { try $0.writer.random("readable/\(number)", bytes: number * 9999) }
        try run("chmod", ["-R", "a+rX", $0.writer.path("readable")])
      }
      let disk = try DiskImage.make(in: scratch, content: content, megabytes: 64)
      let reference = try Ext4Image.reference(content, in: scratch)
      // What the user needs is the user's: a directory, the image, the program.
      let home = try scratch.directory("home")
      try run("chmod", ["755", scratch.path])
      try run("cp", [Floe.program, "\(home)/floe"])
      try run("mv", [disk, "\(home)/disk.img"])
      try run("mkdir", ["\(home)/mount"])
      try run("chown", ["-R", "nobody:", home])
      func asUser(_ words: String...) throws -> Outcome {
        let user = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        return try attempt(
          "setpriv", user + ["env", "-C", home, "HOME=\(home)"] + words)
      }
      for words in [
        ["freeze", "disk.img:2", "-o", "disk.floe"],
        ["mount", "disk.floe", "mount", "--cache", "."],
      ] {
        let user = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        try run("setpriv", user + ["env", "-C", home, "HOME=\(home)", "./floe"] + words)
      }
      let compared = try asUser("diff", "-r", "\(reference)/readable", "mount/readable")
      #expect(compared.succeeded, "\(compared.output)\(compared.errors)")
      // The mount is this user's alone.
      #expect(try !attempt("ls", ["\(home)/mount/readable"]).succeeded)
      let unmounted = try asUser("./floe", "umount", "mount")
      #expect(unmounted.succeeded, "\(unmounted.errors)")
    }

    @Test("A raw volume that is promised to rest is read as a file; written to, it is refused")
    func rawVolume() throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/raw.img"
      try run("dd", ["if=/dev/urandom", "of=\(image)", "bs=1M", "count=24"])
      let device = try Volume.attach(image)
      let refused = try attempt(Floe.program, ["freeze", device, "-o", "\(scratch.path)/no.floe"])
      #expect(!refused.succeeded)
      #expect(refused.errors.contains("--assume-frozen"), "\(refused.errors)")
      let file = "\(scratch.path)/raw.floe"
      try run(Floe.program, ["freeze", device, "--assume-frozen", "-o", file])
      // It has no identifier of its own.
      let backup = try BackupHost(file, media: [(id: image, path: image)], in: scratch)
      try run("cmp", ["\(backup.mountpoint)/data.img", image])
      try run(
        "dd", ["if=/dev/urandom", "of=\(image)", "bs=512", "count=1", "conv=notrunc,fsync"])
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let outcome = try attempt("cmp", ["\(backup.mountpoint)/data.img", image])
      #expect(!outcome.succeeded)
      // Its first bytes are all that it is known by: it may be another medium as well.
      #expect(outcome.errors.contains("Input/output error"), "\(outcome.errors)")
      try backup.unmount()
    }
  }
}
