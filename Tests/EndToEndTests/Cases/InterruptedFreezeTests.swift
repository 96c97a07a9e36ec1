import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// A freeze that is ended by a signal.
  @Suite("Interrupted freezes", .tags(.needsRoot, .needsLoopDevices))
  struct InterruptedFreezes {
    /// Enough that a description takes a while, in few blocks.
    private func volume(in scratch: Scratch) throws -> (volume: Volume, source: String) {
      let volume = try Volume(.single, in: scratch, megabytes: 1024)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try run(
        "bash",
        [
          "-c",
          "cd \"$0\" && for d in {1..40}; do mkdir $d; (cd $d; touch {1..1500}); done", source,
        ])
      try volume.sync()
      return (volume, source)
    }

    /// Starts a freeze and waits until its snapshot is there: it is being described then.
    private func begin(
      _ source: String, _ production: ProductionHost, _ words: [String] = []
    ) throws -> ChildProcess {
      let freeze = try production.scratch.start(
        Floe.program,
        ["freeze", source, "--name", "image", "--state", production.state] + words)
      try waitUntil("the snapshot is made") {
        try freeze.hasEnded || !production.snapshots(beside: source).isEmpty
      }
      return freeze
    }

    @Test(
      "SIGINT and SIGTERM: what was made is removed, and that is said",
      arguments: [SIGINT, SIGTERM])
    func cleanUp(signal: Int32) throws {
      let scratch = try Scratch()
      let (volume, source) = try volume(in: scratch)
      let production = try ProductionHost(in: scratch)
      let output = "\(scratch.path)/image.floe"
      let freeze = try begin(source, production, ["-o", output])
      freeze.signal(signal)
      #expect(try freeze.wait(seconds: 60) == .killed(signal: signal), "\(freeze.errors)")
      #expect(freeze.output == "")
      #expect(freeze.errors.contains("interrupted"), "\(freeze.errors)")
      #expect(freeze.errors.contains("nothing is left of “image”"), "\(freeze.errors)")
      #expect(try production.snapshots(beside: source) == [])
      #expect(try production.floe("images").output == "")
      #expect(access(output, F_OK) != 0)
      try run(Floe.program, ["freeze", source, "--name", "image", "--state", production.state])
      _ = volume
    }

    @Test("A copy by reflinks that is interrupted is removed")
    func reflinkCopy() throws {
      let scratch = try Scratch()
      let image = "\(scratch.path)/xfs"
      try run("truncate", ["-s", "1G", image])
      try run("mkfs.xfs", ["-q", image])
      let mountpoint = try scratch.directory("mount")
      try run("mount", ["-o", "loop", image, mountpoint])
      let source = "\(mountpoint)/data"
      try run("mkdir", [source])
      try run("bash", ["-c", "cd \"$0\" && touch {1..40000}", source])
      let production = try ProductionHost(in: scratch)
      let freeze = try begin(source, production)
      freeze.signal(SIGINT)
      #expect(try freeze.wait(seconds: 60) == .killed(signal: SIGINT), "\(freeze.errors)")
      #expect(freeze.errors.contains("nothing is left of “image”"), "\(freeze.errors)")
      #expect(try production.snapshots(beside: source) == [])
      #expect(try production.floe("images").output == "")
    }

    @Test("A second signal ends it at once; the orphan says what it is")
    func secondSignal() throws {
      let scratch = try Scratch()
      let (volume, source) = try volume(in: scratch)
      let production = try ProductionHost(in: scratch)
      let freeze = try begin(source, production)
      // Both wait for the process when it goes on: the second is not lost in the first.
      freeze.signal(SIGSTOP)
      freeze.signal(SIGINT)
      freeze.signal(SIGTERM)
      freeze.signal(SIGCONT)
      guard case .killed = try freeze.wait(seconds: 60) else {
        Issue.record("it ended by itself: \(freeze.errors)")
        return
      }
      #expect(freeze.errors.contains("ended at once"), "\(freeze.errors)")
      let again = try production.floe("freeze", source, "--name", "image")
      #expect(!again.succeeded)
      let remedy = "floe thaw image --state \(production.state)"
      #expect(again.errors.contains("orphan: \(remedy) removes it"), "\(again.errors)")
      try run(Floe.program, ["thaw", "image", "--state", production.state])
      #expect(try production.snapshots(beside: source) == [])
      try run(Floe.program, ["freeze", source, "--name", "image", "--state", production.state])
      _ = volume
    }
  }
}
