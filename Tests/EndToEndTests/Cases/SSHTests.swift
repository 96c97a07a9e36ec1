import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// `ssh://HOST/IMAGE`: the user's own OpenSSH carries the service's socket.
  @Suite("Over ssh", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct OverSSH {
    @Test("A mount over ssh reads what moves, survives a broken connection, and takes ssh along")
    func mount() throws {
      let site = try Site(small: .raid1)
      let server = try SecureShellServer(in: site.scratch)
      let source = server.source(Site.image, socket: site.production.socket)
      let backup = try BackupHost(
        source, media: site.volume.devices.map { ($0.medium, $0.loop) }, within: server.prefix,
        in: site.scratch)
      #expect(try site.production.floe("thaw", Site.image).errors.contains("is mounted"))
      let mover = try site.mover("balance")
      try mover.waitForTurns(1)
      let first = try #require(try server.clients().first)
      #expect(try server.clients().count == 1)
      kill(first, SIGKILL)
      try waitUntil("ssh is started again") {
        try server.clients().contains { $0 != first }
      }
      try mover.waitForTurns(1)
      try Manifest(.full, of: backup.mountpoint).expectSame(
        as: Manifest(.full, of: site.snapshot), "the mount")
      try mover.stop()
      let status = try backup.status()
      #expect(status.remaps > 0 && status.errors == 0, "\(status)")
      #expect(status.production_host.reachable)
      // A process that cannot tidy up takes ssh along all the same.
      backup.process.signal(SIGKILL)
      try waitUntil("ssh ends with the mount") { try server.clients().isEmpty }
    }

    @Test("A restore and a list over ssh end their ssh")
    func commands() throws {
      let site = try Site(small: .raid1)
      let server = try SecureShellServer(in: site.scratch)
      let source = server.source(Site.image, socket: site.production.socket)
      let copy = "\(site.scratch.path)/copy"
      let medium = site.volume.devices.map { "--medium=\($0.medium)=\($0.loop)" }
      let restored = try server.floe("restore", source, copy, medium[0], medium[1])
      #expect(restored.succeeded, "\(restored.errors)")
      try run("cmp", ["\(copy)/storage/fragmented", "\(site.snapshot)/storage/fragmented"])
      let listed = try server.floe("list", source)
      #expect(listed.output == "files\nstorage\n", "\(listed.errors)")
      try waitUntil("no ssh is left") { try server.clients().isEmpty }
    }

    @Test("What ssh says is told in one sentence")
    func errors() throws {
      let site = try Site(small: .single)
      let server = try SecureShellServer(in: site.scratch)
      func expect(_ source: String, says parts: String...) throws {
        let outcome = try server.floe("list", source)
        #expect(outcome.ending == .exited(1))
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        for part in parts {
          #expect(outcome.errors.contains(part), "\(part) in \(outcome.errors)")
        }
      }
      let source = server.source(Site.image, socket: site.production.socket)
      try expect(
        server.source(Site.image, socket: "\(site.scratch.path)/none"), says: "floe serve")
      try expect(server.source("nothing", socket: site.production.socket), says: "“nothing”")
      try server.use(key: "stranger")
      try expect(source, says: "Permission denied", "127.0.0.1:\(server.port)")
      try server.stop()
      try expect(source, says: "Connection refused")
      try expect("ssh://-oProxyCommand=x/image", says: "is not [USER@]HOST[:PORT]")
      try expect("ssh://127.0.0.1/image?user=x", says: "?socket=PATH")
      #expect(try server.clients().isEmpty)
    }
  }
}
