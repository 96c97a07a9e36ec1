import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// The scripts that people run.
  @Suite("Scripts", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Scripts {
    private func script(_ name: String, _ arguments: [String]) throws -> Outcome {
      try attempt(
        "env",
        ["FLOE=\(Floe.program)", "\(Floe.repository)/mount-scripts/\(name)"] + arguments)
    }

    @Test("backup-rsync and backup-tar copy an image")
    func copies() throws {
      let site = try Site(small: .raid0)
      let source = site.production.source(Site.image)
      let second = try Volume(.single, in: site.scratch, megabytes: 1024, name: "second")
      let rsync = try script("backup-rsync", [source, "\(second.mountpoint)/copy"])
      #expect(rsync.succeeded, "\(rsync.errors)")
      let reference = try Manifest(.copy, of: site.snapshot)
      try Manifest(.copy, of: "\(second.mountpoint)/copy").expectSame(
        as: reference, "the copy by backup-rsync")

      let archive = "\(second.mountpoint)/archive.tar"
      let tar = try script("backup-tar", [source, archive])
      #expect(tar.succeeded, "\(tar.errors)")
      try run("mkdir", ["\(second.mountpoint)/tar"])
      try run(
        "tar",
        ["-C", "\(second.mountpoint)/tar", "--xattrs", "--xattrs-include=*", "-xpf", archive])
      try Manifest(.copy, of: "\(second.mountpoint)/tar").expectSame(
        as: reference, "the copy by backup-tar")
    }

    @Test("An image is mounted at the same path each time, and over no other mount")
    func stablePath() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("file", bytes: 9999)
      }
      let file = "\(scratch.path)/\(scratch.path.split(separator: ".").last ?? "x").floe"
      try run(Floe.program, ["freeze", image, "-o", file])
      let first = try script("with-mount", [file, "--", "pwd"])
      #expect(first.succeeded, "\(first.errors)")
      let path = String(first.output.prefix { $0 != "\n" })
      defer { rmdir(path) }
      let name = file.split(separator: "/").last?.dropLast(5) ?? ""
      #expect(path == "/run/floe/mnt/\(name)")
      #expect(try script("with-mount", [file, "--", "pwd"]).output == first.output)
      #expect(!Scratch.mountpoints(below: "/run/floe/mnt").contains(path))

      let own = "\(scratch.path)/own"
      let second = try script("with-mount", [file, "--at", own, "-o", "noexec", "--", "pwd"])
      #expect(second.output == "\(own)\n", "\(second.errors)")
      try run("mount", ["-t", "tmpfs", "floe-e2e", own])
      let refused = try script("backup-tar", [file, "\(scratch.path)/tar", "--at=\(own)"])
      #expect(refused.ending == .exited(1))
      #expect(refused.errors.contains("\(own) already"), "\(refused.errors)")
      #expect(Scratch.mountpoints(below: scratch.path).contains(own))
      #expect(try names(in: scratch.path).filter { $0.hasPrefix("tar") } == [])
    }

    @Test("A partial copy keeps the copy tool's exit status, and is said loudly")
    func partialCopy() throws {
      let site = try Site(small: .single)
      let full = try site.scratch.directory("full")
      try run("mount", ["-t", "tmpfs", "-o", "size=8m", "floe-e2e", full])
      let copy = try script("backup-rsync", [site.production.source(Site.image), full])
      // rsync: error in file I/O.
      #expect(copy.ending == .exited(11), "\(copy.errors)")
      #expect(copy.errors.contains("THE COPY IS NOT COMPLETE"), "\(copy.errors)")
      let unknown = try script("backup-tar", [site.production.source("unknown"), "\(full)/tar"])
      #expect(!unknown.succeeded)
      #expect(unknown.errors.contains("unknown"), "\(unknown.errors)")
    }

    @Test("check-host gives /dev/fuse the mode that udev would have given it, and says so")
    func closedFuseDevice() throws {
      let scratch = try Scratch()
      let device = "\(scratch.path)/fuse"
      // In a mount table of its own, over the host's device.
      let outcome = try attempt(
        "unshare",
        [
          "--mount", "bash", "-euc",
          """
          mknod -m 0600 '\(device)' c 10 229
          mount --bind '\(device)' /dev/fuse
          '\(Floe.repository)/mount-scripts/check-host' run
          stat -c 'now %a' /dev/fuse
          """,
        ])
      #expect(outcome.succeeded, "\(outcome.output)\(outcome.errors)")
      #expect(outcome.output.contains("mended   FUSE"), "\(outcome.output)")
      #expect(outcome.output.contains("had mode 600"), "\(outcome.output)")
      #expect(outcome.output.contains("now 666"), "\(outcome.output)")
    }

    @Test("check-host refuses a host that lacks something, and says what to do")
    func lackingHost() throws {
      let outcome = try attempt(
        "unshare",
        [
          "--mount", "bash", "-euc",
          """
          mount --bind /dev/null "$(realpath "$(command -v fusermount3)")"
          exec '\(Floe.repository)/mount-scripts/check-host' run
          """,
        ])
      #expect(outcome.ending == .exited(1), "\(outcome.output)")
      #expect(outcome.output.contains("MISSING  fusermount3"), "\(outcome.output)")
      #expect(outcome.output.contains("is not set-user-ID"), "\(outcome.output)")
    }

    @Test("What runs on a leash ends with it, even what went into the background")
    func leash() throws {
      let scratch = try Scratch()
      let leash = try scratch.start(
        "\(Floe.repository)/mount-scripts/leash",
        [
          "bash", "-c",
          """
          mkdir '\(scratch.path)/mounted'
          mount -t tmpfs floe-e2e '\(scratch.path)/mounted'
          setsid sleep 98765 </dev/null >/dev/null 2>&1 &
          sleep 98765
          """,
        ])
      try waitUntil("the command runs, with another in the background") {
        try Self.sleepers() == 2
      }
      kill(leash.identifier, SIGKILL)
      try waitUntil("nothing of it is left") { try Self.sleepers() == 0 }
      #expect(Scratch.mountpoints(below: scratch.path) == [])
      let outcome = try attempt("\(Floe.repository)/mount-scripts/leash", ["sh", "-c", "exit 7"])
      #expect(outcome.ending == .exited(7))
    }

    /// How many processes the test of the leash has running.
    private static func sleepers() throws -> Int {
      try names(in: "/proc").count { name in
        guard pid_t(name) != nil, let line = try? readFile("/proc/\(name)/cmdline") else {
          return false
        }
        return String(decoding: line, as: UTF8.self) == "sleep\u{0}98765\u{0}"
      }
    }
  }
}
