import Glibc
import HostSystem
import TestTags
import Testing

extension EndToEnd {
  /// What floe tells of itself while it runs.
  @Suite("Logs", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Logs {
    @Test("The service tells of mounts, fetches and thaws, each line with its time and level")
    func service() throws {
      let site = try Site(small: .single, megabytes: 512)
      let backup = try site.mount()
      try backup.unmount()
      let again = try site.mount(name: "again")
      #expect(try site.production.floe("thaw", Site.image, "--force").succeeded)
      func log() -> String { site.production.service?.errors ?? "" }
      try waitUntil("the thaw is logged") { log().contains("thawed although") }
      try again.unmount()
      for part in [
        "notice: mounted by a backup host", "notice: unmounted by a backup host",
        "notice: the representation was fetched", "notice: thawed (image \(Site.image)",
        "mountpoint \(backup.mountpoint)",
      ] {
        #expect(log().contains(part), "\(log())")
      }
      for line in log().split(separator: "\n") {
        // 2026-11-26T15:30:00.125Z floe[4711]: notice: …
        let words = line.split(separator: " ")
        try #require(words.count > 3, "\(line)")
        #expect(words[0].count == 24 && words[0].hasSuffix("Z"), "\(line)")
        #expect(words[1].hasPrefix("floe[") && words[1].hasSuffix("]:"), "\(line)")
        #expect(["notice:", "warning:", "error:"].contains(words[2]), "\(line)")
      }
      let mount = backup.process.errors
      #expect(mount.contains("notice: mounted from"), "\(mount)")
      #expect(mount.contains("notice: unmounted"), "\(mount)")
    }

    @Test("At the level debug a mount tells each step of a read, and at no other")
    func steps() throws {
      let site = try Site(small: .single, megabytes: 512)
      let read = "cat \"$0\"/files/0/* >/dev/null"
      let quiet = try site.mount()
      try run("sh", ["-c", read, quiet.mountpoint])
      try quiet.unmount()
      #expect(!quiet.process.errors.contains("debug:"), "\(quiet.process.errors)")
      let backup = try site.mount(options: ["--log-level", "debug"], name: "debug")
      try run("sh", ["-c", read, backup.mountpoint])
      try backup.unmount()
      let log = backup.process.errors
      for step in [
        "fetch 1 pieces", "check the witness of every medium", "the bytes are the image's",
      ] {
        #expect(log.contains(step), "\(log.prefix(4000))")
      }
    }

    /// A journal of its own, in a mount namespace of its own.
    private let journal = """
      mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mkfifo /run/ready
      python3 -c '
      import socket, sys
      line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      line.bind("/run/systemd/journal/socket")
      open("/run/ready", "w").close()
      while True:
          sys.stdout.write(line.recv(65536).decode() + "--\\n")
          sys.stdout.flush()
      ' &
      read _ < /run/ready
      JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
      export JOURNAL_STREAM
      exec "$@"
      """

    @Test("Where standard error is the journal's, it gets fields; control characters are shown")
    func fields() throws {
      let scratch = try Scratch()
      let odd = "odd\u{1B}[2Jname"
      let state = try scratch.directory(odd)
      let script = "\(scratch.path)/journal"
      try writeFile(script, journal.utf8)
      let service = try scratch.start(
        "unshare", ["-m", "sh", script, Floe.program, "serve", "--state", state])
      try waitUntil("something is in the journal") {
        if service.hasEnded { throw HarnessError(service.errors) }
        return service.output.contains("--\n")
      }
      let entry = service.output.split(separator: "\n")
      #expect(entry.contains("PRIORITY=5"), "\(entry)")
      #expect(entry.contains("SYSLOG_IDENTIFIER=floe"), "\(entry)")
      #expect(entry.contains { $0.hasPrefix("MESSAGE=listening on") }, "\(entry)")
      #expect(
        entry.contains { $0.hasPrefix("FLOE_STATE=") && $0.hasSuffix("odd\\x1B[2Jname") },
        "\(entry)")
      #expect(!service.output.contains("\u{1B}"))
      #expect(!service.errors.contains("listening"), "\(service.errors)")
    }
  }
}
