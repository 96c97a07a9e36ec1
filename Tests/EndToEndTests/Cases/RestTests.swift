import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Volumes that were to rest, and do not.
  @Suite("Volumes at rest", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Rest {
    @Test("An ext4 that somebody mounts after the freeze is refused from then on")
    func mountedAfterTheFreeze() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.writer.random("file", bytes: 3_000_000)
      }
      let file = "\(scratch.path)/image.floe"
      try run(Floe.program, ["freeze", image, "-o", file])
      let backup = try BackupHost(file, media: [], in: scratch)
      let bytes = try readFile("\(backup.mountpoint)/file")
      #expect(bytes.count == 3_000_000)
      let mountpoint = try scratch.directory("writer")
      try run("mount", ["-o", "loop", image, mountpoint])
      try run("dd", ["if=/dev/zero", "of=\(mountpoint)/other", "bs=1M", "count=8", "conv=fsync"])
      try run("sync", ["-f", mountpoint])
      // What was read already may be in the page cache, and is right.
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let outcome = try attempt("cat", ["\(backup.mountpoint)/file"])
      #expect(!outcome.succeeded)
      // The file names no service: the storage itself shows it.
      #expect(outcome.errors.contains("Stale file handle"), "\(outcome.errors)")
      #expect(
        backup.process.errors.contains("it was mounted, written or replaced"),
        "\(backup.process.errors)")
      try run("umount", [mountpoint])
      try backup.unmount()
    }

    @Test("The service tells readers that an ext4 was mounted: ESTALE")
    func mountedUnderAService() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 64) {
        try $0.writer.random("file", bytes: 3_000_000)
      }
      let production = try ProductionHost(in: scratch)
      try run(Floe.program, ["freeze", image, "--name", "ext", "--state", production.state])
      try production.serve()
      let backup = try BackupHost(
        production.source("ext"), media: [(id: image, path: image)], in: scratch)
      #expect(try readFile("\(backup.mountpoint)/file").count == 3_000_000)
      let mountpoint = try scratch.directory("writer")
      try run("mount", ["-o", "loop", image, mountpoint])
      try run("sync", ["-f", mountpoint])
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      // While it is mounted its journal makes it no file system that floe would read.
      let outcome = try attempt("cat", ["\(backup.mountpoint)/file"])
      #expect(outcome.errors.contains("Stale file handle"), "\(outcome.errors)")
      #expect(
        backup.process.errors.contains("it was mounted, written or replaced"),
        "\(backup.process.errors)")
      try run("umount", [mountpoint])
      try backup.unmount()
    }

    /// No file system tells that a raw volume is in use: only its first bytes do.
    @Test("The service tells readers that a raw volume was taken into use: ESTALE")
    func rawUnderAService() throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/raw"
      try run("dd", ["if=/dev/urandom", "of=\(image)", "bs=1M", "count=8"])
      let production = try ProductionHost(in: scratch)
      try run(
        Floe.program,
        ["freeze", image, "--assume-frozen", "--name", "raw", "--state", production.state])
      try production.serve()
      let backup = try BackupHost(
        production.source("raw"), media: [(id: image, path: image)], options: ["--view", "volume"],
        in: scratch)
      #expect(try run("cmp", [image, "\(backup.mountpoint)/data.img"]).isEmpty)
      try run("dd", ["if=/dev/urandom", "of=\(image)", "bs=4k", "count=1", "conv=notrunc"])
      try run(
        "dd", ["if=/dev/urandom", "of=\(image)", "bs=1M", "seek=4", "count=1", "conv=notrunc"])
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let outcome = try attempt("cat", ["\(backup.mountpoint)/data.img"])
      #expect(outcome.errors.contains("Stale file handle"), "\(outcome.errors)")
      try backup.unmount()
    }

    @Test("A logical volume that is removed, and discarded before that, is refused")
    func removedWithDiscards() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 32) {
        try $0.writer.random("file", bytes: 3_000_000)
      }
      let volume = try LogicalVolume(in: scratch, content: content, megabytes: 32)
      let production = try ProductionHost(in: scratch)
      try run(Floe.program, ["freeze", volume.path, "--name", "lv", "--state", production.state])
      try production.serve()
      let backup = try BackupHost(production.source("lv"), media: [], in: scratch)
      #expect(try readFile("\(backup.mountpoint)/file").count == 3_000_000)
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      try volume.lvm(
        "lvremove", "-f", arguments: ["--config", "devices/issue_discards=1", volume.path])
      // The discards were real: nothing is left of the volume where it was.
      let left = try volume.devices.map {
        try run("sh", ["-c", "tail -c +1048577 \($0) | tr -d '\\0' | wc -c"])
      }
      #expect(left.allSatisfy { $0 == "0\n" }, "\(left)")
      let outcome = try attempt("cat", ["\(backup.mountpoint)/file"])
      #expect(!outcome.succeeded)
      #expect(outcome.output.isEmpty)
      try backup.unmount()
    }
  }
}
