import FoundationEssentials
import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// `floe restore`: an image's files without a mount.
  @Suite("Restore", .tags(.needsRoot, .needsLoopDevices))
  struct Restore {
    private struct Report: Decodable {
      struct Failed: Decodable {
        let path: String
        let code: String
      }

      let files: UInt64
      let skipped: UInt64
      let properties_not_kept: UInt64
      let failures: [Failed]
    }

    private func restore(
      _ site: Site, to destination: String, _ options: String...
    ) throws -> (outcome: Outcome, report: Report?) {
      let outcome = try attempt(
        Floe.program,
        ["restore", site.production.source(Site.image), destination, "--json"] + options)
      return (outcome, try? JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)))
    }

    /// A manifest of the source as a file system shows it that does not know the property of
    /// btrfs that one of the small tree's files has.
    private func withoutProperty(of tree: String) throws -> Manifest {
      let property = " xattr:btrfs.compression=7a737464"
      let lines = try Manifest(.copy, of: tree).lines
      try #require(lines.contains { $0.contains(property) })
      return Manifest(lines: lines.map { $0.replacing(property, with: "") })
    }

    /// Names of files that are not whole.
    private func partial(below directory: String) throws -> String {
      try run("find", [directory, "-name", ".floe-restore-*"])
    }

    @Test("A whole image is restored as it was frozen, while it moves, and resumed at no cost")
    func whole() throws {
      let size = Tree.Size(entries: 500, fragmented: 24 << 20, sparse: 64 << 20, files: 300)
      let site = try Site(.raid1, megabytes: 2048) { try $0.build(size) }
      let second = try Volume(.single, in: site.scratch, megabytes: 2048, name: "second")
      let copy = "\(second.mountpoint)/restored"
      let untimed = ["--untimed", "special/subvolume"]
      let reference = try Manifest(.copy, of: site.snapshot, options: untimed)
      let mover = try site.mover()
      try mover.waitForTurns(1)
      let (outcome, report) = try restore(site, to: copy)
      try mover.stop()
      try #require(outcome.succeeded, "\(outcome.output)\(outcome.errors)")
      try Manifest(.copy, of: copy, options: untimed).expectSame(
        as: reference, "what was restored")
      #expect(try partial(below: copy) == "")
      // Holes are holes: 8 TiB of them would not fit.
      let blocks = try run("stat", ["-c", "%b", "\(copy)/\(Tree.hugeSparse)"])
      #expect(Int(blocks.dropLast()).map { $0 < 10_000 } == true, "\(blocks)")

      let again = try restore(site, to: copy)
      #expect(!again.outcome.succeeded)
      #expect(again.outcome.errors.contains("is not empty"), "\(again.outcome.errors)")
      // Same size, same time, another content: seen only by a look at the content.
      let victim = "\(copy)/files/0/0"
      try run(
        "sh",
        [
          "-ec",
          "touch -r \"$1\" \"$1.time\"; printf x | dd of=\"$1\" conv=notrunc status=none; "
            + "touch -r \"$1.time\" \"$1\"; rm \"$1.time\"", "sh", victim,
        ])
      let resumed = try restore(site, to: copy, "--resume")
      #expect(resumed.outcome.succeeded, "\(resumed.outcome.output)\(resumed.outcome.errors)")
      #expect(resumed.report?.files == 0)
      #expect(resumed.report?.skipped == report?.files)
      let compared = try restore(
        site, to: copy, "--resume", "--compare-content", "--overwrite", "--threads", "2")
      #expect(compared.outcome.succeeded, "\(compared.outcome.output)\(compared.outcome.errors)")
      #expect(compared.report?.files == 1)
      try Manifest(.copy, of: copy, options: untimed).expectSame(
        as: reference, "what was restored again")
    }

    @Test("A restore that was killed leaves whole files alone, and goes on")
    func killed() throws {
      let site = try Site(small: .raid1)
      let copy = "\(site.scratch.path)/copy"
      let child = try site.scratch.start(
        Floe.program,
        ["restore", site.production.source(Site.image), copy, "--threads", "1"])
      try waitUntil("some files are restored") {
        if child.hasEnded { return true }
        let found = try attempt("find", [copy, "-type", "f", "-not", "-name", ".floe-restore-*"])
        return found.output.split(separator: "\n").count > 20
      }
      child.signal(SIGKILL)
      let ending = try child.wait()
      #expect(ending == .killed(signal: SIGKILL))
      let (outcome, report) = try restore(site, to: copy, "--resume")
      #expect(outcome.succeeded, "\(outcome.output)\(outcome.errors)")
      #expect((report?.skipped ?? 0) > 20)
      #expect(report?.properties_not_kept == 1)
      try Manifest(.copy, of: copy).expectSame(
        as: withoutProperty(of: site.snapshot), "what was restored in two parts")
      #expect(try partial(below: copy) == "")
    }

    @Test("A full disk is told in one sentence, and no part of a file is left")
    func full() throws {
      let site = try Site(small: .raid1)
      let copy = try site.scratch.directory("full")
      try run("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", copy])
      let (outcome, _) = try restore(site, to: copy)
      #expect(outcome.ending == .exited(1))
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains("No space left on device"), "\(outcome.errors)")
      #expect(outcome.errors.contains("--resume"), "\(outcome.errors)")
      #expect(outcome.output.contains("\"no-room\""), "\(outcome.output)")
      #expect(try partial(below: copy) == "")
      try run("mount", ["-o", "remount,size=200m", copy])
      #expect(try restore(site, to: copy, "--resume").outcome.succeeded)
      try Manifest(.copy, of: copy).expectSame(
        as: withoutProperty(of: site.snapshot), "what was restored once there was room")
    }

    @Test("Links in the destination are not followed, and what is there is left alone")
    func obstacles() throws {
      let site = try Site(small: .raid1)
      let copy = try site.scratch.directory("copy")
      let elsewhere = try site.scratch.directory("elsewhere")
      try run("ln", ["-s", elsewhere, "\(copy)/files"])
      try run("mkdir", ["\(copy)/storage"])
      try run("ln", ["-s", "\(elsewhere)/file", "\(copy)/storage/fragmented"])
      let (outcome, report) = try restore(site, to: copy, "--resume")
      #expect(outcome.ending == .exited(1))
      #expect(report?.failures.map(\.path).sorted() == ["files", "storage/fragmented"])
      #expect(report?.failures.allSatisfy { $0.code == "exists" } == true)
      #expect(try names(in: elsewhere) == [])
      let replaced = try restore(site, to: copy, "--overwrite")
      #expect(replaced.outcome.succeeded, "\(replaced.outcome.output)\(replaced.outcome.errors)")
      #expect(try names(in: elsewhere) == [])
      try Manifest(.copy, of: copy).expectSame(
        as: withoutProperty(of: site.snapshot), "what replaced the links")
    }

    @Test("A file that somebody else put there is given nothing, and nobody looks in meanwhile")
    func planted() throws {
      let site = try Site(.single, megabytes: 1024) { tree in
        try tree.writer.random("tool", bytes: 4096)
        try run("chmod", ["4755", tree.writer.path("tool")])
        try tree.writer.random("large", bytes: 5000)
        // More than an inode and a block of ext4 hold.
        let script = "setfattr -n user.large -v $(head -c 5000 /dev/zero | tr '\\0' x) \"$1\""
        try run("sh", ["-ec", script, "sh", tree.writer.path("large")])
      }
      let disk = "\(site.scratch.path)/ext4"
      let copy = try site.scratch.directory("copy")
      let tool = "\(copy)/tool"
      let script = """
        truncate -s 64M "$1"
        mkfs.ext4 -q "$1"
        mount -o loop "$1" "$2"
        rmdir "$2/lost+found"
        head -c 4096 /dev/zero >"$2/tool"
        touch -r "$3/tool" "$2/tool"
        chmod 0755 "$2/tool" "$2"
        chown 1234:1234 "$2/tool"
        """
      defer { _ = try? attempt("umount", [copy]) }
      try run("sh", ["-ec", script, "sh", disk, copy, site.snapshot])
      let (outcome, report) = try restore(site, to: copy, "--resume")
      #expect(outcome.ending == .exited(1))
      #expect(report?.failures.map(\.path) == ["large", "tool"], "\(outcome.output)")
      #expect(try run("stat", ["-c", "%u %g %a", tool]) == "1234 1234 755\n")
      // What has no room for an attribute of one file has room for all others.
      try run("cmp", ["\(copy)/large", "\(site.snapshot)/large"])
      let replaced = try restore(site, to: copy, "--resume", "--overwrite")
      #expect(replaced.report?.failures.map(\.path) == ["large"], "\(replaced.outcome.output)")
      #expect(try run("stat", ["-c", "%u %g %a", tool]) == "0 0 4755\n")
      try run("cmp", [tool, "\(site.snapshot)/tool"])
    }

    @Test("A file that cannot be read is named, and the others are restored")
    func unreadable() throws {
      let site = try Site(small: .single)
      struct Chain: Decodable {
        struct Run: Decodable {
          struct Copy: Decodable { let offset: UInt64 }
          let copies: [Copy]
        }
        let runs: [Run]
      }
      let inspected = try run(
        Floe.program,
        ["inspect", site.production.source(Site.image), "storage/fragmented", "--json"])
      let chain = try JSONDecoder().decode(Chain.self, from: Data(inspected.utf8))
      let offset = try #require(chain.runs.first?.copies.first?.offset)
      try run(
        "dd",
        [
          "if=/dev/urandom", "of=\(site.volume.devices[0].image)", "bs=512", "count=1",
          "conv=notrunc", "seek=\(offset / 512)",
        ])
      let copy = "\(site.scratch.path)/copy"
      let (outcome, report) = try restore(site, to: copy)
      #expect(outcome.ending == .exited(1))
      #expect(report?.failures.map(\.path) == ["storage/fragmented"])
      #expect(report?.files == 204)
      #expect(try partial(below: copy) == "")
      #expect(access("\(copy)/storage/fragmented", F_OK) != 0)
    }

    @Test("One file and one directory are brought back beside what is there")
    func paths() throws {
      let site = try Site(small: .raid1)
      let copy = try site.scratch.directory("copy")
      try run("touch", ["\(copy)/other"])
      let chosen = ["--path", "files/0/7", "--path", "/storage/"]
      let source = site.production.source(Site.image)
      try run(Floe.program, ["restore", source, copy] + chosen)
      #expect(try names(in: copy) == ["7", "other", "storage"])
      try run("cmp", ["\(copy)/7", "\(site.snapshot)/files/0/7"])
      try Manifest(.copy, of: "\(copy)/storage").expectSame(
        as: withoutProperty(of: "\(site.snapshot)/storage"), "the directory")
      let again = try attempt(Floe.program, ["restore", source, copy] + chosen)
      #expect(again.ending == .exited(1))
      #expect(again.errors.contains("is there already"), "\(again.errors)")
      let absent = try attempt(Floe.program, ["restore", source, copy, "--path", "nothing"])
      #expect(absent.errors.contains("has no file “nothing”"), "\(absent.errors)")
    }
  }
}
