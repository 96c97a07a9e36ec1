import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// What goes wrong before anything is read: one sentence each, that names the
  /// thing, and nothing half-done left behind.
  @Suite("Conversation of errors", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Errors {
    private func expect(
      _ outcome: Outcome, says words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
      #expect(!outcome.succeeded, "\(outcome.commandLine)", sourceLocation: sourceLocation)
      if case .killed = outcome.ending {
        Issue.record(
          "\(outcome.commandLine) ended by \(outcome.ending)", sourceLocation: sourceLocation)
      }
      let text = outcome.errors.lowercased()
      for word in words {
        #expect(
          text.contains(word.lowercased()), "\(outcome.commandLine): \(outcome.errors)",
          sourceLocation: sourceLocation)
      }
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == 1, "\(outcome.errors)", sourceLocation: sourceLocation)
    }

    @Test("floe freeze refuses what it cannot freeze")
    func freeze() throws {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 512)
      let production = try ProductionHost(in: scratch)
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).buildSmall()

      let elsewhere = try scratch.directory("tmpfs")
      expect(
        try production.floe("freeze", elsewhere, "--name", "a"), says: elsewhere, "tmpfs", "memory")
      expect(try production.floe("freeze", "/proc", "--name", "a"), says: "/proc", "no files")
      let inside = "\(source)/files"
      expect(
        try production.floe("freeze", inside, "--name", "a"), says: inside,
        "subvolume \(source), and", "freeze \(source)")
      let missing = "\(source)/missing"
      expect(
        try production.floe("freeze", missing, "--name", "a"), says: missing, "no such file")
      expect(
        try attempt(
          "setpriv",
          [
            "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", Floe.program, "freeze", source,
            "--name", "a", "--state", production.state,
          ]), says: "CAP_SYS_ADMIN")
      #expect(try production.floe("images").output.contains("a ") == false)
      #expect(try production.snapshots(beside: source) == [])

      try production.freeze(source, name: "taken")
      expect(try production.floe("freeze", source, "--name", "taken"), says: "taken")
      #expect(try production.snapshots(beside: source).count == 1)
      expect(try production.floe("thaw", "unknown"), says: "unknown")
    }

    @Test("floe freeze says that the state directory is full, and leaves nothing behind")
    func fullStateDirectory() throws {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 512)
      let production = try ProductionHost(in: scratch)
      try run("mount", ["-t", "tmpfs", "-o", "size=16k", "floe-e2e", production.state])
      let source = "\(volume.mountpoint)/data"
      try run("btrfs", ["subvolume", "create", source])
      try Tree(source).buildSmall()
      expect(
        try production.floe("freeze", source, "--name", "large"), says: production.state, "full")
      #expect(try production.snapshots(beside: source) == [])
    }

    @Test("floe mount refuses what it cannot mount")
    func mount() throws {
      let site = try Site(small: .singleOverTwo, megabytes: 512)
      let source = site.production.source(Site.image)
      let mountpoint = try site.scratch.directory("backup")
      let media = site.volume.devices
      func mount(_ source: String, _ mountpoint: String, _ options: String...) throws -> Outcome {
        try attempt(
          Floe.program, ["mount", source, mountpoint, "--foreground"] + options, seconds: 120)
      }
      let nowhere = "\(site.scratch.path)/nowhere"
      expect(
        try mount(source, mountpoint, "--medium", "\(media[0].medium)=\(nowhere)"), says: nowhere)
      let other = try Volume(.single, in: site.scratch, megabytes: 512, name: "other")
      expect(
        try mount(source, mountpoint, "--medium", "\(media[0].medium)=\(other.devices[0].loop)"),
        says: other.devices[0].loop, "identity")
      expect(
        try mount(source, mountpoint, "--medium", "\(media[0].medium)=\(media[1].loop)"),
        says: media[1].loop, "identity")
      expect(try mount(source, nowhere), says: nowhere)
      expect(try mount(site.production.source("unknown"), mountpoint), says: "unknown")
      expect(
        try mount("floe+unix:\(nowhere)/\(Site.image)", mountpoint), says: "service", nowhere)
      expect(try mount("nonsense", mountpoint), says: "nonsense", "SOURCE is ssh://")

      let backup = try site.mount()
      expect(try mount(source, backup.mountpoint), says: backup.mountpoint)
      try backup.unmount()
      expect(try attempt(Floe.program, ["umount", mountpoint]), says: mountpoint)
      expect(try attempt(Floe.program, ["status", mountpoint]), says: mountpoint)
    }

    @Test("A SOURCE that is none says what one can be")
    func sources() throws {
      let site = try Site(.single, megabytes: 512) { try $0.buildSmall() }
      let directory = site.scratch.path
      let socket = site.production.socket
      func inspect(_ source: String) throws -> Outcome {
        try attempt(Floe.program, ["inspect", source])
      }
      let forms = "SOURCE is ssh://[USER@]HOST/IMAGE, floe+unix:SOCKET/IMAGE"
      expect(try inspect(directory), says: "\(directory) is a directory", forms)
      expect(try inspect("http://production/image"), says: "http://", forms)
      expect(try inspect("\(directory)/nothing"), says: "\(directory)/nothing", forms)
      expect(try inspect(socket), says: "is a socket", "write floe+unix:\(socket)/IMAGE")
      expect(try inspect("\(socket)/image"), says: "write floe+unix:\(socket)/image")
      expect(try inspect("floe+unix:\(socket)"), says: "names no image", "\(socket)/IMAGE")
      expect(try inspect("floe+unix:\(directory)/image"), says: "no socket", forms)
      let file = "\(directory)/private.floe"
      try writeFile(file, [1])
      try run("chmod", ["755", directory, site.production.state])
      try run("chmod", ["600", file])
      func asUser(_ source: String) throws -> Outcome {
        try attempt(
          "setpriv",
          ["--reuid=nobody", "--regid=nogroup", "--clear-groups", Floe.program, "inspect", source])
      }
      expect(try asUser(file), says: file, "Permission denied")
      expect(try asUser("floe+unix:\(socket)/image"), says: socket, "for its owner alone")
      expect(
        try site.production.floe("serve", "--listen", "/run/x.sock"), says: "write unix:/run/x.sock"
      )
    }

    @Test(
      "An unknown option is called that, before anything is missing",
      arguments: [
        ["mount", "--nonsense"], ["mount", "source", "--nonsense"], ["freeze", "--nonsense"],
        ["freeze", "path", "--nonsense"], ["explain", "--nonsense"], ["verify", "--nonsense"],
        ["images", "--nonsense"],
      ])
    func unknownOption(words: [String]) throws {
      let outcome = try attempt(Floe.program, words)
      #expect(outcome.ending == .exited(64))
      let first = outcome.errors.split(separator: "\n").first ?? ""
      #expect(first.hasPrefix("Error: Unknown option '--nonsense'"), "\(outcome.errors)")
    }

    @Test("A mount option that nobody knows is named before anything is mounted")
    func mountOptions() throws {
      let scratch = try Scratch()
      let image = try Ext4Image.make(in: scratch, megabytes: 16) { try $0.writer.directory("d") }
      let file = "\(scratch.path)/x.floe"
      try run(Floe.program, ["freeze", image, "-o", file])
      let mountpoint = try scratch.directory("backup")
      func mount(_ options: String) throws -> Outcome {
        try attempt(Floe.program, ["mount", file, mountpoint, "--foreground", "-o", options])
      }
      expect(try mount("noexec,nonsense"), says: "mount option nonsense", "known are")
      expect(try mount("max_read=65536"), says: "mount option max_read=65536")
      #expect(!BackupHost.isMounted(mountpoint))
    }

    @Test("A medium that is not there is named")
    func missingMedium() throws {
      let site = try Site(small: .singleOverTwo, megabytes: 512)
      try site.production.stopService()
      // Without the loop device nothing on this host is the second medium.
      try site.volume.unmount()
      let lost = try site.volume.lose(1)
      let outcome = try attempt(
        Floe.program,
        ["inspect", site.production.source(Site.image)])
      expect(outcome, says: "service")
      try site.volume.mount(options: Volume.options + ",degraded,ro")
      try site.production.serve()
      let mountpoint = try site.scratch.directory("backup")
      expect(
        try attempt(
          Floe.program,
          ["mount", site.production.source(Site.image), mountpoint, "--foreground"]),
        says: lost.medium)
    }

    @Test("A representation of a newer format is refused")
    func newerFormat() throws {
      let site = try Site(.single, megabytes: 512, serves: false) { try $0.buildSmall() }
      let images = "\(site.production.state)/images"
      let image = "\(images)/\(try #require(names(in: images).first))"
      let path = "\(image)/representation.floe"
      let old = try digest(of: path)
      var bytes = try readFile(path)
      // The major version, after the magic (docs/REPRESENTATION.md).
      bytes[8] = 2
      try writeFile(path, bytes)
      // As a newer floe would have written it, so with a digest that is right.
      try run("sed", ["-i", "s/\(old)/\(try digest(of: path))/", "\(image)/image.json"])
      try site.production.serve()
      let mountpoint = try site.scratch.directory("backup")
      expect(
        try attempt(
          Floe.program,
          ["mount", site.production.source(Site.image), mountpoint, "--foreground"]),
        says: "newer format")
    }

    private func digest(of path: String) throws -> String {
      String(try run("sha256sum", [path]).prefix { $0 != " " })
    }

    @Test("Writes get EROFS")
    func writes() throws {
      let site = try Site(small: .single, megabytes: 512)
      let backup = try site.mount()
      let path = "\(backup.mountpoint)/\(Tree.smallFiles[0])"
      #expect(open(path, O_WRONLY) < 0 && errno == EROFS)
      #expect(open("\(backup.mountpoint)/new", O_WRONLY | O_CREAT, 0o600) < 0 && errno == EROFS)
      #expect(unlink(path) < 0 && errno == EROFS)
      #expect(mkdir("\(backup.mountpoint)/new", 0o700) < 0 && errno == EROFS)
      #expect(chmod(path, 0o600) < 0 && errno == EROFS)
      try backup.unmount()
    }
  }
}
