import Glibc
import SeededNumbers
import TestTags
import Testing

extension EndToEnd {
  /// `floe serve` and `floe mount` are killed and stopped at random moments of copies.
  ///
  /// `FLOE_KILLS` says how many times they are killed, beside being stopped, and
  /// `FLOE_SEED` at which moments: `FLOE_KILLS=200 mount-scripts/test RandomKills`.
  @Suite("Random kills", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct RandomKills {
    private static func number(_ name: String) -> UInt64? {
      getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    @Test("Processes are killed and stopped during copies: no wrong byte, nothing left")
    func kills() throws {
      let kills = Self.number("FLOE_KILLS") ?? 6
      let seed = Self.number("FLOE_SEED") ?? .random(in: .min ... .max)
      print("random kills: \(kills) with FLOE_SEED=\(seed)")
      var generator = SeededGenerator(seed: seed)
      let site = try Site(small: .single)
      let mover = try site.mover("balance", "rewrite")
      var backup = try mount(site)
      var endings: [String: Int] = [:]
      var kill = 0
      while kill < kills {
        let copy = try site.scratch.directory("copy-\(kill)")
        let rsync = try site.scratch.start(
          "rsync", ["-aH", "\(backup.mountpoint)/", copy])
        usleep(UInt32.random(in: 0...300_000, using: &generator))
        let hitsMount = Bool.random(using: &generator)
        let isKill = Bool.random(using: &generator)
        endings[
          "\(isKill ? "SIGKILL" : "SIGSTOP") of \(hitsMount ? "mount" : "serve")", default: 0] += 1
        let victim = hitsMount ? backup.process : site.production.service
        if isKill {
          kill += 1
          victim?.signal(SIGKILL)
          try victim?.wait()
        } else {
          victim?.signal(SIGSTOP)
          usleep(UInt32.random(in: 0...500_000, using: &generator))
          victim?.signal(SIGCONT)
        }
        if isKill && !hitsMount { try site.production.serve() }
        let ending = try rsync.wait(seconds: 300)
        if !isKill { #expect(ending == .exited(0), "kill \(kill): \(rsync.errors)") }
        try expectRight(copy, site, "kill \(kill), seed \(seed)")
        try run("rm", ["-rf", copy])
        if isKill && hitsMount {
          try run(Floe.program, ["umount", backup.mountpoint])
          #expect(!BackupHost.isMounted(backup.mountpoint))
          backup = try mount(site)
        }
      }
      print("random kills: \(endings.sorted { $0.key < $1.key })")
      try mover.stop()
      var verifier = try site.verifier(backup)
      let tally = try verifier.read()
      #expect(tally.failures == 0, "\(tally)")
      try backup.unmount()
      try site.production.stopService()
      #expect(Scratch.mountpoints(below: site.scratch.path) == [site.volume.mountpoint])
      #expect(try processes(mentioning: site.scratch.path) == [])
    }

    private func mount(_ site: Site) throws -> BackupHost {
      try site.mount(options: ["--remap-timeout", "20"])
    }

    /// Every file that the copy has, complete as rsync makes them, is the snapshot's.
    private func expectRight(_ copy: String, _ site: Site, _ what: String) throws {
      for name in Tree.smallFiles where access("\(copy)/\(name)", F_OK) == 0 {
        guard try readFile("\(copy)/\(name)") != readFile("\(site.snapshot)/\(name)") else {
          continue
        }
        Issue.record("\(name) was copied wrong: \(what)")
      }
    }

    /// Command lines of floe's processes that know a path.
    private func processes(mentioning path: String) throws -> [String] {
      try names(in: "/proc").compactMap { name in
        guard pid_t(name) != nil, let line = try? readFile("/proc/\(name)/cmdline") else {
          return nil
        }
        let words = String(decoding: line, as: UTF8.self).split(separator: "\0")
        guard words.first.map(String.init) == Floe.program,
          words.contains(where: { $0.contains(path) })
        else { return nil }
        return words.joined(separator: " ")
      }
    }
  }
}
