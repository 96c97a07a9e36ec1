import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// `floe backup` on the production host, `floe agent` on the backup host.
  @Suite("Backups by an agent", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Backups {
    private func rsync(_ site: BackupSite) throws -> (String, [String]) {
      let copy = try site.scratch.directory("copy")
      return (copy, ["rsync", "-aHAX", "--mkpath", "{mount}/", "\(copy)/{host}/{image}/"])
    }

    @Test("A backup over ssh copies two subvolumes of one moment, reports, and leaves nothing")
    func whole() throws {
      let site = try BackupSite(subvolumes: 2)
      let server = try SecureShellServer(in: site.scratch)
      let (copy, command) = try rsync(site)
      let agent = try JobAgent([("copy", command, "")], site)
      let log = "\(site.scratch.path)/hooks"
      let outcome = try server.floe(
        site.words(
          "copy", to: "ssh://root@127.0.0.1:\(server.port)?socket=\(agent.socket)",
          [
            "--json", "--name", "first", "--name", "second", "--pre-freeze",
            "echo before >> \(log)",
            "--post-freeze",
            "echo behind >> \(log); rm \(site.sources[0])/a-0; ls -d \(site.volume.mountpoint)/.floe/* | wc -l >> \(log)",
          ]))
      #expect(outcome.succeeded, "\(outcome.errors)")
      // Both were frozen before the hook behind ran.
      #expect(String(decoding: try readFile(log), as: UTF8.self) == "before\nbehind\n2\n")
      let report = try BackupReport(outcome)
      #expect(report.state == "succeeded" && report.exit_status == 0)
      #expect(report.images.map(\.name) == ["first", "second"])
      for image in report.images {
        #expect(image.files == 3 && image.bytes == 900_000 && image.exit_status == 0)
        #expect(image.thawed && image.errors == 0 && image.storage_bytes >= 900_000, "\(image)")
      }
      let host = try #require(try names(in: copy).first)
      try Manifest(.copy, of: "\(copy)/\(host)/second").expectSame(
        as: Manifest(.copy, of: site.sources[1]), "the copy")
      #expect(try names(in: "\(copy)/\(host)/first") == ["a-0", "deep"])
      #expect(try site.images() == "")
      #expect(try site.production.snapshots(beside: site.sources[0]).isEmpty)
      #expect(agent.mounted.isEmpty)
      #expect(try agent.runs().map(\.state) == ["succeeded"])
      try waitUntil("no ssh is left") { try server.clients().isEmpty }
    }

    @Test("A line that breaks is made anew, and the mount finds the service again")
    func brokenLine() throws {
      let site = try BackupSite()
      let server = try SecureShellServer(in: site.scratch)
      let go = "\(site.scratch.path)/go"
      let agent = try JobAgent(
        [
          (
            "job",
            ["sh", "-c", "echo begun; while ! test -e \(go); do sleep 0.1; done; cat a-0 | wc -c"],
            ""
          )
        ], site)
      let words = site.words(
        "job", to: "ssh://root@127.0.0.1:\(server.port)?socket=\(agent.socket)")
      let backup = try site.scratch.start(
        server.prefix[0], Array(server.prefix[1...]) + [Floe.program] + words)
      try waitUntil("the job runs") { backup.errors.contains("begun") }
      let first = try #require(try server.clients().first)
      kill(first, SIGKILL)
      try waitUntil("ssh is started again") { try server.clients().contains { $0 != first } }
      let mountpoint = try #require(agent.mounted.first)
      try waitUntil("the mount reaches the service") {
        try attempt(Floe.program, ["status", mountpoint]).output.contains(", reachable")
      }
      try writeFile(go, "".utf8)
      #expect(try backup.wait(seconds: 120) == .exited(0), "\(backup.errors)")
      #expect(backup.errors.contains("300000\n"))
      #expect(try names(in: "\(site.scratch.path)/agent/in").isEmpty)
      #expect(try site.images() == "")
    }

    @Test("The exit status is the job's, and what it says comes through")
    func status() throws {
      let site = try BackupSite()
      let agent = try JobAgent(
        [
          ("fails", ["sh", "-c", "echo it is $0; exit 7", "{image}"], ""),
          (
            "user",
            [
              "sh", "-c",
              "test $(id -un) = nobody && cat a-0 > /dev/null && stat -c %a-%U-%G {mount}/..",
            ],
            "user = \"nobody\""
          ),
        ], site)
      let fails = try attempt(
        Floe.program, site.words("fails", to: "unix:\(agent.socket)", ["--json", "--name", "x"]))
      #expect(fails.ending == .exited(7))
      #expect(fails.errors.contains("it is x\n"))
      let report = try BackupReport(fails)
      #expect(report.state == "failed" && report.exit_status == 7 && report.images[0].thawed)
      try run("chmod", ["755", site.scratch.path])
      let user = try attempt(
        Floe.program, site.words("user", to: "unix:\(agent.socket)"))
      #expect(user.succeeded, "\(user.errors)\(user.output)")
      #expect(user.errors.contains("710-root-nogroup\n"), "nobody else enters")
      let unknown = try attempt(Floe.program, site.words("rm -rf", to: "unix:\(agent.socket)"))
      #expect(unknown.ending == .exited(1) && unknown.errors.contains("has no job"))
      #expect(try agent.runs().map(\.state) == ["failed", "succeeded"])
      #expect(try site.images() == "" && agent.mounted.isEmpty)
    }

    @Test(
      "Applications go on when a hook hangs, fails or takes too long, and nothing is frozen then",
      arguments: [
        ("sleep 1000 & sleep 1000", "killed"), ("exit 3", "exit status 3"),
      ])
    func hooks(_ before: String, _ reason: String) throws {
      let site = try BackupSite()
      let agent = try JobAgent([("job", ["true"], "")], site)
      let log = "\(site.scratch.path)/hooks"
      let outcome = try attempt(
        Floe.program,
        site.words(
          "job", to: "unix:\(agent.socket)",
          [
            "--quiet-limit", "1", "--pre-freeze", "exec 3> \(log).pre; \(before)", "--post-freeze",
            "echo behind >> \(log)",
          ]))
      #expect(outcome.ending == .exited(1) && outcome.errors.contains(reason), "\(outcome.errors)")
      #expect(String(decoding: try readFile(log), as: UTF8.self) == "behind\n")
      #expect(try site.images() == "")
      #expect(try site.production.snapshots(beside: site.sources[0]).isEmpty)
      #expect(try agent.runs().isEmpty)
    }

    @Test("Applications that may rest still make no success, and that is told at once")
    func hookBehind() throws {
      let site = try BackupSite(subvolumes: 2)
      let agent = try JobAgent([("job", ["echo", "begun"], "")], site)
      let outcome = try attempt(
        Floe.program,
        site.words("job", to: "unix:\(agent.socket)", ["--json", "--post-freeze", "exit 5"]))
      #expect(outcome.ending == .exited(1))
      let told = outcome.errors.split(separator: "\n")
      let problem = try #require(told.firstIndex { $0.contains("exit status 5") })
      #expect(try problem < #require(told.firstIndex(of: "begun")), "\(outcome.errors)")
      let report = try BackupReport(outcome)
      #expect(report.state == "succeeded" && report.exit_status == 1)
      #expect(report.reason?.contains("exit status 5") == true)
      #expect(report.images.map(\.exit_status) == [0, 0])
      // And where the freeze failed: of the second one, which is gone by then.
      let failed = try attempt(
        Floe.program,
        site.words(
          "job", to: "unix:\(agent.socket)",
          [
            "--pre-freeze", "btrfs subvolume delete \(site.sources[1])", "--post-freeze", "exit 6",
          ]))
      #expect(failed.ending == .exited(1))
      #expect(failed.errors.split(separator: "\n").last?.contains("exit status 6") == true)
      #expect(try site.images() == "")
    }

    @Test("Applications go on when a backup is killed while they rest, and its image is thawed")
    func killed() throws {
      let site = try BackupSite()
      let agent = try JobAgent(
        [
          ("job", ["sleep", "1000"], "timeout = 6"), ("long", ["sleep", "1000"], "timeout = 1000"),
        ], site)
      let log = "\(site.scratch.path)/hooks"
      let resting = try site.scratch.start(
        Floe.program,
        site.words(
          "job", to: "unix:\(agent.socket)",
          [
            "--pre-freeze", "echo before >> \(log); sleep 1000", "--post-freeze",
            "echo behind >> \(log)",
          ]))
      try waitUntil("applications rest") { access(log, F_OK) == 0 }
      kill(resting.identifier, SIGKILL)
      try waitUntil("applications go on") {
        String(decoding: try readFile(log), as: UTF8.self) == "before\nbehind\n"
      }
      #expect(try site.images() == "")

      let running = try site.scratch.start(
        Floe.program, site.words("job", to: "unix:\(agent.socket)", ["--lease", "1"]))
      try waitUntil("the job runs") { !agent.mounted.isEmpty }
      #expect(try site.images().contains("kept by floe backup"))
      kill(running.identifier, SIGKILL)
      // Its job goes on, for as long as it may, and its image lives as long.
      try waitUntil("the job is over") { try agent.runs().map(\.state) == ["failed"] }
      #expect(try agent.runs()[0].exitStatus == 124)
      #expect(agent.mounted.isEmpty)
      try waitUntil("the image is thawed") { try site.images() == "" }

      // A line to the service is no condition of that.
      let long = try site.scratch.start(
        Floe.program, site.words("long", to: "unix:\(agent.socket)", ["--lease", "1"]))
      try waitUntil("the job runs") { !agent.mounted.isEmpty }
      let left = try site.images().split(separator: " ")
        .drop { $0 != "thawed" }.dropFirst(2).first.flatMap { Int($0) }
      #expect(try #require(left) > 900)
      kill(long.identifier, SIGTERM)
      #expect(try long.wait(seconds: 60) == .exited(143))
    }

    @Test("An agent that is killed leaves no mount and no process once it is started again")
    func agentKilled() throws {
      let site = try BackupSite()
      let agent = try JobAgent([("job", ["sh", "-c", "echo begun; sleep 1000 & wait"], "")], site)
      let backup = try site.scratch.start(
        Floe.program, site.words("job", to: "unix:\(agent.socket)", ["--json"]))
      try waitUntil("the job runs") { backup.errors.contains("begun") }
      #expect(agent.mounted.count == 1)
      try agent.signal(SIGKILL)
      try agent.start()
      #expect(agent.mounted.isEmpty)
      #expect(try backup.wait(seconds: 120) == .exited(1))
      #expect(backup.output.contains("\"state\" : \"lost\""), "\(backup.output)")
      #expect(try agent.runs().map(\.state) == ["lost"])
      #expect(try site.images() == "")
    }

    @Test("A backup that is interrupted ends its job, and thaws")
    func interrupted() throws {
      let site = try BackupSite()
      let agent = try JobAgent([("job", ["sh", "-c", "echo begun; sleep 1000"], "")], site)
      let backup = try site.scratch.start(
        Floe.program, site.words("job", to: "unix:\(agent.socket)", ["--json"]))
      try waitUntil("the job runs") { backup.errors.contains("begun") }
      kill(backup.identifier, SIGTERM)
      #expect(try backup.wait(seconds: 60) == .exited(143), "\(backup.errors)")
      #expect(try agent.runs().map(\.state) == ["cancelled"])
      #expect(try site.images() == "" && agent.mounted.isEmpty)
    }

    @Test(
      "The jobs of the documents' example give the files back",
      arguments: ["rsync", "tar", "restic", "borg"])
    func examples(_ tool: String) throws {
      try #require(try attempt("which", [tool]).succeeded, "\(tool) is missing")
      let site = try BackupSite()
      let place = try site.scratch.directory("backup")
      let file = try readFile("\(Floe.repository)/docs/agent.toml")
      let text = String(decoding: file, as: UTF8.self)
        .replacing("/backup/", with: "\(place)/")
        .split(separator: "\n", omittingEmptySubsequences: false)
        .filter { !$0.hasPrefix("mounts = ") }.joined(separator: "\n")
      setenv("RESTIC_REPOSITORY", "\(place)/restic", 1)
      setenv("RESTIC_PASSWORD", "x", 1)
      setenv("XDG_CACHE_HOME", "\(place)/cache", 1)
      setenv("BORG_BASE_DIR", "\(place)/borg-base", 1)
      setenv("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes", 1)
      if tool == "restic" { try run("restic", ["init"]) }
      if tool == "borg" { try run("borg", ["init", "--encryption=none", "\(place)/borg"]) }
      let agent = try JobAgent(text, site)
      let outcome = try attempt(
        Floe.program, site.words(tool, to: "unix:\(agent.socket)", ["--name", "data"]))
      #expect(outcome.succeeded, "\(outcome.errors)\(outcome.output)")
      let back = try site.scratch.directory("back")
      let host = try run("hostname", []).prefix { $0 != "\n" }
      let tree: String
      switch tool {
      case "rsync": tree = "\(place)/\(host)/data"
      case "tar":
        try run("tar", ["-C", back, "-xpf", "\(place)/\(host)/data.tar"])
        #expect(try names(in: "\(place)/\(host)") == ["data.tar"])
        tree = back
      case "restic":
        try run("restic", ["restore", "latest", "--target", back])
        tree = "\(back)\(agent.mounts)/\(host)/data"
      default:
        let archive = try run("borg", ["list", "--short", "\(place)/borg"]).prefix { $0 != "\n" }
        try run("sh", ["-c", "cd \(back) && borg extract \(place)/borg::\(archive)"])
        tree = "\(back)\(agent.mounts)/\(host)/data"
      }
      try run("diff", ["-r", site.sources[0], tree])
    }
  }
}
