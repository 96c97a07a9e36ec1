import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// The service lives, and cannot be reached or cannot write.
  @Suite("Outages of the service", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct Outages {
    @Test("The service's socket is cut, then silent, for some time: EIO, then right again")
    func socketIsCut() throws {
      let site = try Site(small: .singleOverTwo)
      let socket = "\(site.scratch.path)/relay.sock"
      var relay = try relay(to: site.production.socket, at: socket, site.scratch)
      let backup = try BackupHost(
        "floe+unix:\(socket)/\(Site.image)",
        media: site.volume.devices.map { ($0.medium, $0.loop) },
        options: ["--remap-timeout", "2"], in: site.scratch)
      var verifier = try site.verifier(backup)
      let mover = try site.mover()
      try mover.waitForTurns(1)
      #expect(try verifier.read().failures == 0)

      relay.signal(SIGKILL)
      try relay.wait()
      try mover.waitForTurns(2)
      let cut = try verifier.read(pieces: 4)
      #expect(cut.failed == [EIO: 4], "\(cut)")
      let status = try backup.status()
      #expect(status.state == "failing")
      #expect(!status.production_host.reachable)
      // Nobody waits for it any more: later reads fail at once.
      #expect(status.production_host.silent_since_seconds != nil)
      #expect(status.failures.contains { $0.reason.contains("asked again in the background") })
      #expect(status.failures.reduce(0) { $0 + $1.count } == status.errors)
      let text = try attempt(Floe.program, ["status", backup.mountpoint])
      #expect(text.ending == .exited(3))
      #expect(text.output.contains("no answer since"), "\(text.output)")
      #expect(text.output.contains("failed            "), "\(text.output)")
      relay = try self.relay(to: site.production.socket, at: socket, site.scratch)
      try waitUntil("reads go on") { try verifier.read(pieces: 10).failures == 0 }
      #expect(try backup.status().production_host.silent_since_seconds == nil)

      // Nothing tells that nobody answers.
      relay.signal(SIGSTOP)
      try mover.waitForTurns(2)
      let silent = try verifier.read(pieces: 4)
      #expect(silent.failed == [EIO: 4], "\(silent)")
      relay.signal(SIGCONT)
      try waitUntil("reads go on") { try verifier.read(pieces: 10).failures == 0 }
      let again = try verifier.read(pieces: 200)
      #expect(again.failures == 0, "\(again)")
      try mover.stop()
      try backup.unmount()
    }

    private func relay(
      to target: String, at socket: String, _ scratch: Scratch
    ) throws -> ChildProcess {
      let program = "\(Floe.repository)/Tests/EndToEndTests/network/relay"
      let relay = try scratch.start(program, [socket, target, "\(socket).control"])
      try waitUntil("the relay listens") {
        if relay.hasEnded { throw HarnessError(relay.errors) }
        return relay.output == "listening\n"
      }
      return relay
    }

    @Test("The state directory fills up under the service: mounted images stay readable")
    func stateDirectoryFills() throws {
      let site = try Site(.single, megabytes: 1024, serves: false) { try $0.buildSmall() }
      let state = site.production.state
      let kept = "\(site.scratch.path)/kept"
      try run("cp", ["-a", state, kept])
      try run("mount", ["-t", "tmpfs", "-o", "size=64m,mode=700", "floe-e2e", state])
      try run("cp", ["-a", "\(kept)/.", state])
      try site.production.serve()
      let backup = try site.mount()
      var verifier = try site.verifier(backup)
      let mover = try site.mover()

      let filler = "\(state)/filler"
      #expect(try !attempt("dd", ["if=/dev/zero", "of=\(filler)", "bs=1M"]).succeeded)
      try mover.waitForTurns(2)
      let full = try verifier.read(pieces: 200)
      #expect(full.failures == 0, "\(full)")
      let freeze = try site.production.floe("freeze", site.source, "--name", "second")
      #expect(!freeze.succeeded && freeze.errors.contains("full"), "\(freeze.errors)")
      let mountpoint = try site.scratch.directory("second")
      let mount = try attempt(
        Floe.program,
        ["mount", site.production.source(Site.image), mountpoint, "--foreground"], seconds: 120)
      #expect(!mount.succeeded && mount.errors.contains(state), "\(mount.errors)")
      #expect(!BackupHost.isMounted(mountpoint))

      #expect(unlink(filler) == 0)
      let again = try site.mount(name: "second")
      try again.unmount()
      try site.production.freeze(site.source, name: "second")
      try mover.stop()
      try backup.unmount()
    }
  }
}
