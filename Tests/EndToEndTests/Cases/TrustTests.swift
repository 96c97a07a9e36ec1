import FoundationEssentials
import Glibc
import HostSystem
import TestTags
import Testing

extension EndToEnd {
  /// What whoever writes a representation may make the backup host open, show and ask.
  @Suite("Trust", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Trust {
    static let nobody: UInt32 = 65534

    /// What `floe mount --json` tells, as far as the tests look at it.
    private struct Mounted: Decodable {
      struct Medium: Decodable {
        let id: String
        let path: String
        let recorded_path: String
        let found: String
      }

      let id: String
      let mountpoint: String
      let state: String
      let media: [Medium]
    }

    func mount(
      _ file: String, in scratch: Scratch, _ options: String...
    ) throws -> (outcome: Outcome, mountpoint: String) {
      let mountpoint = try scratch.directory("backup")
      let outcome = try attempt(
        Floe.program, ["mount", file, mountpoint] + options, seconds: 120)
      return (outcome, mountpoint)
    }

    func expectRefusal(
      _ file: String, in scratch: Scratch, _ options: String..., says words: [String],
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let mountpoint = try scratch.directory("backup")
      let outcome = try attempt(
        Floe.program, ["mount", file, mountpoint] + options, seconds: 120)
      #expect(!outcome.succeeded, "\(outcome.output)", sourceLocation: sourceLocation)
      for word in words {
        #expect(
          outcome.errors.contains(word), "\(word): \(outcome.errors)",
          sourceLocation: sourceLocation)
      }
      if outcome.succeeded { try run(Floe.program, ["umount", mountpoint]) }
    }

    @Test("A user's representation does not show root's private file, whatever it knows of it")
    func privateFile() throws {
      let scratch = try Scratch()
      let secret = "\(scratch.path)/secret"
      try writeFile(secret, Array("root:$y$j9T$secret".utf8) + [UInt8](repeating: 7, count: 8174))
      chmod(secret, 0o600)
      let evil = "\(scratch.path)/evil.floe"
      let known = EvilRepresentation.Known(offset: 0, bytes: Array("root:".utf8))
      try EvilRepresentation.write(
        to: evil, of: secret, size: 8192, known: known, user: Self.nobody)
      try expectRefusal(evil, in: scratch, says: [secret, "belongs to user 65534"])
      // The identity is the attacker's choice, also in a file that root has copied.
      try run("chown", ["0", evil])
      try expectRefusal(
        evil, in: scratch, says: [secret, "no identifier of its own", "--medium"])
      // Whoever may write it chose what it says.
      chmod(evil, 0o666)
      try expectRefusal(evil, in: scratch, says: [secret, "others than its owner may write it"])
      // Who names it wants it, and is told what was taken.
      let (outcome, mountpoint) = try mount(evil, in: scratch, "--medium", "loot=\(secret)")
      #expect(outcome.succeeded, "\(outcome.errors)")
      #expect(outcome.output.contains("\(secret), named with --medium"), "\(outcome.output)")
      try run("cmp", ["\(mountpoint)/loot", secret])
      // Nobody but root enters, also there.
      let other = try attempt(
        "setpriv",
        ["--reuid=65534", "--regid=65534", "--clear-groups", "cat", "\(mountpoint)/loot"])
      #expect(!other.succeeded)
      try run(Floe.program, ["umount", mountpoint])
    }

    @Test("An encrypted disk is not shown for the six bytes that all of them begin with")
    func encryptedDisk() throws {
      let scratch = try Scratch()
      let disk = "\(scratch.path)/private.img"
      let magic = Array("LUKS".utf8) + [0xBA, 0xBE]
      // linux unified key setup, on-disk format 1: version, …, UUID at 168
      var header = magic + [0, 1] + [UInt8](repeating: 0, count: 1016)
      let uuid = "2f6a1c1e-93a1-4f0b-8d5e-6a1a4f0b5f6a"
      header.replaceSubrange(168..<168 + uuid.utf8.count, with: Array(uuid.utf8))
      try run("dd", ["if=/dev/urandom", "of=\(disk)", "bs=1M", "count=8"])
      try writeFile("\(scratch.path)/header", header)
      try run("dd", ["if=\(scratch.path)/header", "of=\(disk)", "conv=notrunc"])
      let device = try Volume.attach(disk)
      let evil = "\(scratch.path)/evil.floe"
      for (offset, bytes) in [(0, magic), (168, Array(uuid.utf8))] as [(UInt64, [UInt8])] {
        let known = EvilRepresentation.Known(offset: offset, bytes: bytes)
        try EvilRepresentation.write(
          to: evil, of: "/dev/elsewhere", size: 8 << 20, known: known, user: Self.nobody)
        try expectRefusal(evil, in: scratch, says: [device, "belongs to user 65534"])
      }
      // Its UUID is its own, so root's file may name it by that, and by nothing less.
      try run("chown", ["0", evil])
      let (outcome, mountpoint) = try mount(evil, in: scratch)
      #expect(outcome.output.contains("found by its identifier \(uuid)"), "\(outcome)")
      try run(Floe.program, ["umount", mountpoint])
      let known = EvilRepresentation.Known(offset: 0, bytes: magic)
      try EvilRepresentation.write(
        to: evil, of: "/dev/elsewhere", size: 8 << 20, known: known, user: 0)
      try expectRefusal(evil, in: scratch, says: [device, "no identifier of its own"])
    }

    @Test("A user's file is mounted if he may read its disk, and its service is not asked")
    func anotherUsersFile() throws {
      let scratch = try Scratch()
      try run("chmod", ["755", scratch.path])
      let disk = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("file", bytes: 100_000)
      }
      let socket = "\(scratch.path)/evil.sock"
      let file = "\(scratch.path)/disk.floe"
      let production = try ProductionHost(in: scratch)
      try run(
        Floe.program,
        [
          "freeze", disk, "--name", "x", "--state", production.state, "-o", file, "--service",
          "floe+unix:\(socket)/x",
        ])
      let listener = try UnixListener(at: socket)
      try run("chown", ["\(Self.nobody)", file])
      chmod(disk, 0o600)
      try expectRefusal(file, in: scratch, says: [disk, "belongs to user 65534", "--medium"])
      chmod(disk, 0o644)
      let (outcome, mountpoint) = try mount(file, in: scratch, "--json")
      let mounted = try JSONDecoder().decode(Mounted.self, from: Data(outcome.output.utf8))
      #expect(mounted.media.map(\.path) == [disk])
      #expect(mounted.mountpoint == mountpoint)
      #expect(mounted.state == "mounted")
      try run("cmp", ["-n", "100000", "\(mountpoint)/file", "\(mountpoint)/file"])
      // What he wrote into it makes root connect to nothing.
      let status = try attempt(Floe.program, ["status", mountpoint])
      #expect(status.output.contains("--service"), "\(status.output)\(status.errors)")
      #expect(!listener.wasAsked)
      try run(Floe.program, ["umount", mountpoint])
      _ = try mount(file, in: scratch, "--service", "floe+unix:\(socket)/x", "--remap-timeout", "1")
      try waitUntil("the service is asked") { listener.wasAsked }
      try run(Floe.program, ["umount", mountpoint])
    }

    @Test("What this host uses itself is taken only when it is named")
    func usedDevice() throws {
      let scratch = try Scratch()
      let disk = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("file", bytes: 100_000)
      }
      let device = try Volume.attach(disk)
      let file = "\(scratch.path)/disk.floe"
      try run(Floe.program, ["freeze", device, "-o", file])
      let used = try scratch.directory("used")
      try run("mount", ["-o", "ro,noload", device, used])
      // The image file, which the mounted loop device shows, and that device alone.
      try expectRefusal(file, in: scratch, says: [disk, "this host uses it itself", "--medium"])
      try run("mv", [disk, "\(disk).moved"])
      try expectRefusal(file, in: scratch, says: [device, "this host uses it itself", "--medium"])
      let inspected = try run(Floe.program, ["inspect", file, "--json"])
      let image = try JSONDecoder().decode(Inspected.self, from: Data(inspected.utf8))
      let id = try #require(image.media.first?.id)
      let (outcome, mountpoint) = try mount(file, in: scratch, "--medium", "\(id)=\(device)")
      #expect(outcome.succeeded, "\(outcome.errors)")
      try run("cmp", ["\(mountpoint)/file", "\(used)/file"])
      try run(Floe.program, ["umount", mountpoint])
      try run("umount", [used])
      #expect(try mount(file, in: scratch).outcome.succeeded)
      try run(Floe.program, ["umount", mountpoint])
    }

    private struct Inspected: Decodable {
      struct Medium: Decodable { let id: String }
      let media: [Medium]
    }

    @Test(
      "A disk image of this very host's service is taken where it is; a clone is said to be one")
    func ownService() throws {
      let scratch = try Scratch()
      let content = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("file", bytes: 100_000)
      }
      let disk = try DiskImage.make(in: scratch, content: content, megabytes: 16)
      let production = try ProductionHost(in: scratch)
      try run(
        Floe.program, ["freeze", "\(disk):2", "--name", "disk", "--state", production.state])
      try production.serve()
      let (outcome, mountpoint) = try mount(production.source("disk"), in: scratch)
      #expect(outcome.succeeded, "\(outcome.errors)")
      #expect(outcome.output.contains("\(disk), found by its identifier"), "\(outcome.output)")
      #expect(!outcome.output.contains("another path"), "\(outcome.output)")
      try run(Floe.program, ["umount", mountpoint])
      // Through a relay, as ssh makes one, nothing shows that it is this host.
      let relay = "\(scratch.path)/relay.sock"
      let relaying = try scratch.start("python3", ["-c", Self.relay, production.socket, relay])
      try waitUntil("the relay listens") { access(relay, F_OK) == 0 }
      try expectRefusal(
        "floe+unix:\(relay)/disk", in: scratch, says: ["no block device", "--medium"])
      relaying.signal(SIGKILL)
      // A clone elsewhere.
      let clone = "\(scratch.path)/clone.img"
      try run("mv", [disk, clone])
      let device = try Volume.attach(clone)
      let cloned = try mount(production.source("disk"), in: scratch)
      #expect(
        cloned.outcome.output.contains("\(device), found by its identifier"),
        "\(cloned.outcome.output)\(cloned.outcome.errors)")
      #expect(
        cloned.outcome.output.contains("taken at another path than recorded (\(disk))"),
        "\(cloned.outcome.output)")
      try run(Floe.program, ["umount", mountpoint])
    }

    /// Carries connections to a socket (1) from another (2).
    static let relay = """
      import socket, sys, threading
      def carry(a, b):
        try:
          while data := a.recv(65536): b.sendall(data)
        except OSError: pass
        for end in (a, b):
          try: end.shutdown(socket.SHUT_RDWR)
          except OSError: pass
      listener = socket.socket(socket.AF_UNIX)
      listener.bind(sys.argv[2])
      listener.listen()
      while True:
        near = listener.accept()[0]
        far = socket.socket(socket.AF_UNIX)
        far.connect(sys.argv[1])
        for pair in ((near, far), (far, near)):
          threading.Thread(target=carry, args=pair, daemon=True).start()
      """

    @Test("Patterns limit which media may be named, for one mount and for all")
    func limits() throws {
      let scratch = try Scratch()
      let disk = try Ext4Image.make(in: scratch, megabytes: 16) { _ in }
      let device = try Volume.attach(disk)
      let file = "\(scratch.path)/disk.floe"
      try run(Floe.program, ["freeze", device, "-o", file])
      let left = "\(device) would be it, but no --media pattern allows it"
      try expectRefusal(file, in: scratch, "--media", "/dev/sd*", says: [left])
      let config = "\(scratch.path)/floe.conf"
      try writeFile(config, "# limits\n\n media = /dev/sd*\n".utf8)
      try expectRefusal(file, in: scratch, "--config", config, says: [left])
      // Both hold.
      try expectRefusal(
        file, in: scratch, "--config", config, "--media", "/dev/loop*", says: [left])
      try writeFile(config, "media = /dev/sd*\nmedia = /dev/loop*\n".utf8)
      let (outcome, mountpoint) = try mount(
        file, in: scratch, "--config", config, "--media", "/dev/loop*")
      #expect(outcome.succeeded, "\(outcome.errors)")
      try run(Floe.program, ["umount", mountpoint])
      // What is not understood may have been a limit.
      for line in ["medium = /dev/sd*", "media /dev/sd*", "media = sd*"] {
        try writeFile(config, "# one\n\(line)\n".utf8)
        try expectRefusal(file, in: scratch, "--config", config, says: ["\(config), line 2"])
      }
      try expectRefusal(file, in: scratch, "--config", "\(config).not", says: ["No such file"])
    }
  }
}

/// A Unix socket of this process that nobody answers.
private final class UnixListener {
  private let descriptor: Int32

  init(at path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard bound == 0, listen(descriptor, 8) == 0 else {
      throw HarnessError("\(path): \(errorText(errno))")
    }
  }

  deinit { close(descriptor) }

  /// Whether somebody has connected.
  var wasAsked: Bool {
    var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&wait, 1, 0) == 1
  }
}
