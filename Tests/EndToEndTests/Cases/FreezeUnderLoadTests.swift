import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Freezing while others write, past the page cache and in place.
  @Suite(
    "Freezing under load", .tags(.needsRoot, .needsLoopDevices, .needsFUSE),
    .enabled(
      if: ThrottledWriters.canRun, "it needs the I/O controller of control groups (blkio or io)"))
  struct FreezeUnderLoad {
    /// A volume with a subvolume that has a nodatacow file, and writers at work on it.
    private struct Bench {
      let scratch: Scratch
      let volume: Volume
      let production: ProductionHost
      let source: String
      let writers: ThrottledWriters

      init() throws {
        scratch = try Scratch()
        volume = try Volume(.single, in: scratch, megabytes: 512)
        production = try ProductionHost(in: scratch)
        source = "\(volume.mountpoint)/data"
        try run("btrfs", ["subvolume", "create", source])
        try writeFile("\(source)/file", [])
        try run("chattr", ["+C", "\(source)/file"])
        try run("dd", ["if=/dev/zero", "of=\(source)/file", "bs=1M", "count=64", "status=none"])
        try volume.sync()
        writers = try ThrottledWriters(
          "\(source)/file", on: volume.devices[0].loop, writesPerSecond: 16, in: scratch)
      }
    }

    /// What is on the media, not what the page cache has.
    private func digest(_ file: String) throws -> String {
      try run("sh", ["-c", "dd if=\(file) bs=1M iflag=direct status=none | sha256sum"])
    }

    /// Writers that had found a block to be theirs alone when the snapshot came to share
    /// it write there when it is their turn.
    @Test("Writes that had begun before the snapshot are in it before the freeze returns")
    func directWriters() throws {
      let bench = try Bench()
      let snapshot = try bench.production.freeze(bench.source, name: "image")
      let frozen = try digest("\(snapshot)/file")
      for _ in 0..<3 {
        try bench.writers.waitForWrites(32)
        #expect(try digest("\(snapshot)/file") == frozen)
      }
      bench.writers.stop()
      #expect(try digest("\(bench.source)/file") != frozen)
      #expect(try digest("\(snapshot)/file") == frozen)
      try bench.production.serve()
      let backup = try BackupHost(bench.production, "image", bench.volume)
      #expect(try run("sh", ["-c", "sha256sum < \(backup.mountpoint)/file"]) == frozen)
      try backup.unmount()
    }

    /// The process dies in the kernel, where it waits for the writers, and leaves the file
    /// system frozen.
    @Test("A freeze that is killed while it waits for the writers leaves nothing frozen")
    func killed() throws {
      let bench = try Bench()
      let freeze = try bench.scratch.start(
        Floe.program,
        ["freeze", bench.source, "--name", "image", "--state", bench.production.state])
      try waitUntil("the file system is being frozen", seconds: 120) {
        if freeze.hasEnded { throw HarnessError("floe freeze ended: \(freeze.errors)") }
        return isFreezing(freeze.identifier)
      }
      kill(freeze.identifier, SIGKILL)
      #expect(try freeze.wait() == .killed(signal: SIGKILL))
      let writer = try ChildProcess("touch", ["\(bench.volume.mountpoint)/new"])
      // A test that fails must not leave it frozen either.
      defer { _ = try? attempt("fsfreeze", ["--unfreeze", bench.volume.mountpoint]) }
      try waitUntil("a file can be made") { writer.hasEnded }
      #expect(try writer.wait() == .exited(0))
      bench.writers.stop()
      let thaw = try bench.production.floe("thaw", "image")
      #expect(thaw.succeeded, "\(thaw.errors)")
    }

    /// Whether a process is in ioctl(2) with FIFREEZE (proc_pid_syscall(5), linux/fs.h).
    private func isFreezing(_ process: pid_t) -> Bool {
      let tasks = "/proc/\(process)/task"
      return ((try? names(in: tasks)) ?? []).contains { task in
        let call = (try? readFile("\(tasks)/\(task)/syscall")) ?? []
        return String(decoding: call, as: UTF8.self).contains(" 0xc0045877 ")
      }
    }
  }
}
