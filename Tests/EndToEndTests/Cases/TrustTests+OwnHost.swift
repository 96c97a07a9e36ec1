import Glibc
import HostSystem
import Testing

extension EndToEnd.Trust {
  /// A disk image without an identifier of its own, so that only its place can find it.
  private func namelessDisk(in scratch: Scratch) throws -> String {
    let content = try Ext4Image.make(in: scratch, megabytes: 16) {
      try $0.writer.random("file", bytes: 100_000)
    }
    let disk = "\(scratch.path)/disk.qcow2"
    try run("qemu-img", ["convert", "-O", "qcow2", content, disk])
    return disk
  }

  @Test(
    "A service in a container, or whose socket comes from another network, is another host's",
    arguments: [["--net", "--pid", "--mount-proc"], ["--pid", "--mount-proc"], ["--net"]])
  func anotherHost(namespaces: [String]) throws {
    let scratch = try Scratch()
    let disk = try namelessDisk(in: scratch)
    let production = try ProductionHost(in: scratch)
    try run(Floe.program, ["freeze", disk, "--name", "disk", "--state", production.state])
    let service = try scratch.start(
      "unshare",
      namespaces + ["--fork", "--kill-child", Floe.program, "serve", "--state", production.state])
    try waitUntil("floe serve answers") {
      if service.hasEnded { throw HarnessError("floe serve ended: \(service.errors)") }
      return try attempt(Floe.program, ["inspect", production.source("disk")]).succeeded
    }
    let relay = "\(scratch.path)/relay.sock"
    _ = try scratch.start("python3", ["-c", Self.relay, production.socket, relay])
    try waitUntil("the relay listens") { access(relay, F_OK) == 0 }
    try expectRefusal(
      "floe+unix:\(relay)/disk", in: scratch, says: ["no block device", "--medium"])
    if namespaces.contains("--pid") {
      try expectRefusal(
        production.source("disk"), in: scratch, says: ["no block device", "--medium"])
      return
    }
    // Another network alone has the paths and devices of this host.
    let (outcome, mountpoint) = try mount(production.source("disk"), in: scratch)
    #expect(
      outcome.output.contains("\(disk), found where this very host had it at the freeze"),
      "\(outcome)")
    try run(Floe.program, ["umount", mountpoint])
  }

  @Test("The file that this host wrote finds its disk; a copy of it, and a forged one, do not")
  func originMark() throws {
    let scratch = try Scratch()
    let disk = try namelessDisk(in: scratch)
    let file = "\(scratch.path)/disk.floe"
    try run(Floe.program, ["freeze", disk, "-o", file])
    let (outcome, mountpoint) = try mount(file, in: scratch)
    #expect(
      outcome.output.contains("\(disk), found where this very host had it at the freeze"),
      "\(outcome)")
    try run(Floe.program, ["umount", mountpoint])
    let refusal = [disk, "no identifier of its own", "--medium"]
    let copy = "\(scratch.path)/copy.floe"
    try run("cp", ["--preserve=all", file, copy])
    try expectRefusal(copy, in: scratch, says: refusal)
    // The very mark of the file, on another.
    let mark = try run("getfattr", ["--only-values", "-n", "trusted.floe.origin", file])
    try run("setfattr", ["-n", "trusted.floe.origin", "-v", mark, copy])
    try expectRefusal(copy, in: scratch, says: refusal)
    // A user marks a file of his own, by the attributes that he can set.
    chmod(disk, 0o644)
    try run("chmod", ["755", scratch.path])
    let theirs = try scratch.directory("theirs")
    try run("chown", ["\(Self.nobody)", theirs])
    let user = ["--reuid=\(Self.nobody)", "--regid=\(Self.nobody)", "--clear-groups", Floe.program]
    try run(
      "setpriv",
      user + ["freeze", disk, "-o", "\(theirs)/x.floe", "--state", "\(theirs)/state"])
    try expectRefusal("\(theirs)/x.floe", in: scratch, says: refusal)
  }

  @Test("Whoever mounts a FUSE file system owns what is on it, whatever it shows")
  func ownerOnFUSE() throws {
    let scratch = try Scratch()
    try run("chmod", ["755", scratch.path])
    let secret = try Ext4Image.make(in: scratch, megabytes: 16, name: "secret.img") { _ in }
    chmod(secret, 0o600)
    // A root's file, on a file system that a user makes up.
    let evil = "\(scratch.path)/evil.floe"
    let identifier = try readFile(secret)[1128..<1144]
    try EvilRepresentation.write(
      to: evil, of: secret, size: 16 << 20, known: .init(offset: 1128, bytes: Array(identifier)),
      user: 0)
    let stick = try Ext4Image.make(in: scratch, megabytes: 16, name: "stick.img") { tree in
      try writeFile(tree.writer.path("evil.floe"), try readFile(evil))
    }
    chmod(stick, 0o644)
    try run(Floe.program, ["freeze", stick, "-o", "\(scratch.path)/stick.floe"])
    chmod("\(scratch.path)/stick.floe", 0o644)
    let places = try ["stick", "cache", "backup"].map { try scratch.directory($0) }
    try run("chown", ["\(Self.nobody)"] + places[..<2])
    try writeFile("\(scratch.path)/fuse.conf", Array("user_allow_other\n".utf8))
    // root's file itself is believed, and says what it always says.
    let (outcome, mountpoint) = try mount(evil, in: scratch)
    #expect(outcome.output.contains("found by its identifier"), "\(outcome)")
    try run(Floe.program, ["umount", mountpoint])
    let script = """
      cd \(scratch.path)
      mount --bind fuse.conf /etc/fuse.conf
      setpriv --reuid=\(Self.nobody) --regid=\(Self.nobody) --clear-groups \(Floe.program) \
        mount stick.floe stick --cache cache -o allow_other --medium $(\(Floe.program) inspect \
        stick.floe --json | python3 -c 'import json,sys;print(json.load(sys.stdin)["media"][0]["id"])')=stick.img
      stat -c 'owner %u' stick/evil.floe
      status=0
      \(Floe.program) mount stick/evil.floe backup || status=$?
      umount stick
      exit $status
      """
    let refused = try attempt("unshare", ["--mount", "sh", "-ec", script])
    #expect(refused.output.contains("owner 0"), "\(refused)")
    #expect(!refused.succeeded)
    for words in [secret, "belongs to user \(Self.nobody)", "Permission denied"] {
      #expect(refused.errors.contains(words), "\(words): \(refused.errors)")
    }
  }

  @Test("A disk on a FUSE mount that the file's owner cannot enter is not taken")
  func mediumOnFUSE() throws {
    let scratch = try Scratch()
    try run("chmod", ["755", scratch.path])
    let disk = try Ext4Image.make(in: scratch, megabytes: 4, name: "inner.img") { _ in }
    let outer = try Ext4Image.make(in: scratch, megabytes: 16) { tree in
      try writeFile(tree.writer.path("inner.img"), try readFile(disk))
    }
    let frozen = "\(scratch.path)/outer.floe"
    try run(Floe.program, ["freeze", outer, "-o", frozen])
    let shown = try scratch.directory("shown")
    let medium = "\(shown)/inner.img"
    let file = "\(scratch.path)/x.floe"
    try EvilRepresentation.write(
      to: file, of: medium, size: 4 << 20,
      known: .init(offset: 1128, bytes: Array(try readFile(disk)[1128..<1144])),
      user: Self.nobody)
    try run(Floe.program, ["mount", frozen, shown])
    #expect(try run("stat", ["-c", "%a", medium]) == "644\n")
    try expectRefusal(
      file, in: scratch, says: [medium, "belongs to user 65534", "Permission denied"])
    try run(Floe.program, ["umount", shown])
    // Now the mode counts, which lets everybody read.
    try run(Floe.program, ["mount", frozen, shown, "-o", "allow_other"])
    let (outcome, mountpoint) = try mount(file, in: scratch)
    #expect(outcome.output.contains("\(medium), found by its identifier"), "\(outcome)")
    try run(Floe.program, ["umount", mountpoint])
    try run(Floe.program, ["umount", shown])
  }
}
