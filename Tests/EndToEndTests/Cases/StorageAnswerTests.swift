import FoundationEssentials
import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// The storage itself says where everything lies.
  @Suite("Answers of the storage", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .slow))
  struct StorageAnswers {
    /// A logical volume with a tree on it, and what it is to show.
    private struct Moving {
      let scratch: Scratch
      let volume: LogicalVolume
      let reference: String

      init(megabytes: Int, build: (Tree) throws -> Void) throws {
        scratch = try Scratch()
        let content = try Ext4Image.make(in: scratch, megabytes: megabytes, build: build)
        reference = try Ext4Image.reference(content, in: scratch)
        volume = try LogicalVolume(in: scratch, content: content, megabytes: megabytes)
        try run("rm", [content])
      }

      /// Reads all files of a mount anew and compares them with the reference.
      func compare(_ backup: BackupHost) throws {
        try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
        let differences = try run(
          "rsync",
          ["-aHAXnc", "--itemize-changes", "\(backup.mountpoint)/", "\(reference)/"])
        guard differences.isEmpty else { throw HarnessError("wrong bytes:\n\(differences)") }
      }
    }

    @Test("A representation's file follows moves under rsync without any service")
    func fileAlone() throws {
      let moving = try Moving(megabytes: 128) {
        try $0.buildPortable(files: 200, fragmented: 8 << 20)
      }
      let file = "\(moving.scratch.path)/lv.floe"
      try run(Floe.program, ["freeze", moving.volume.path, "-o", file])
      let backup = try BackupHost(file, media: [], in: moving.scratch)
      let mover = try moving.volume.mover()
      try waitUntil("the volume moved") { mover.turns(of: "move") >= 2 }
      let copy = "\(moving.scratch.path)/copy"
      try run("rsync", ["-aHAXS", "\(backup.mountpoint)/", copy])
      try Manifest(.copy, of: copy).expectSame(
        as: Manifest(.copy, of: moving.reference), "the copy by rsync")
      while mover.turns(of: "move") < 20 { try moving.compare(backup) }
      try mover.stop()
      let status = try backup.status()
      #expect(status.remaps > 3 && status.errors == 0, "\(status)")
      #expect(status.answers.storage > 3, "\(status)")
      #expect(status.answers.production_host == 0, "\(status)")
      #expect(status.bytes.production_host == 0, "\(status)")
      try backup.unmount()
      // Everything lies elsewhere than when it was frozen.
      let late = try BackupHost(file, media: [], in: moving.scratch, name: "late")
      try moving.compare(late)
      #expect(try late.status().errors == 0)
      try late.unmount()
    }

    @Test("A copy goes on when the service is killed in the middle, and everything moved since")
    func serviceKilled() throws {
      let moving = try Moving(megabytes: 96) { tree in
        for number in 0..<16 { try tree.writer.random("file\(number)", bytes: 4 << 20) }
      }
      let production = try ProductionHost(in: moving.scratch)
      try run(
        Floe.program,
        ["freeze", moving.volume.path, "--name", "lv", "--state", production.state])
      try production.serve()
      let backup = try BackupHost(production.source("lv"), media: [], in: moving.scratch)
      let mover = try moving.volume.mover()
      let copy = try moving.scratch.directory("copy")
      for number in 0..<16 {
        if number == 4 { try production.killService() }
        let turns = mover.turns(of: "move")
        try waitUntil("the volume moved on") { mover.turns(of: "move") > turns }
        try run("cp", ["\(backup.mountpoint)/file\(number)", copy])
      }
      try mover.stop()
      try run("diff", ["-r", "-x", "lost+found", moving.reference, copy])
      let status = try backup.status()
      #expect(status.remaps > 5 && status.errors == 0, "\(status)")
      #expect(status.answers.storage > 5 && status.answers.production_host == 0, "\(status)")
      #expect(!status.production_host.reachable, "\(status)")
      try backup.unmount()
    }

    @Test("Asked together, the storage and the production host say the same")
    func both() throws {
      let moving = try Moving(megabytes: 32) { try $0.writer.random("file", bytes: 20 << 20) }
      let production = try ProductionHost(in: moving.scratch)
      try run(
        Floe.program,
        ["freeze", moving.volume.path, "--name", "lv", "--state", production.state])
      try production.serve()
      let backup = try BackupHost(
        production.source("lv"), media: [], options: ["--answers", "both"], in: moving.scratch)
      let mover = try moving.volume.mover()
      repeat { try moving.compare(backup) } while mover.turns(of: "move") < 10
      try mover.stop()
      let status = try backup.status()
      #expect(status.errors == 0 && status.remaps > 0, "\(status)")
      #expect(status.answers.compared ?? 0 > 0, "\(status)")
      try backup.unmount()
    }

    /// An array's snapshot of all LUNs, which a backup host mounts beside the live host.
    @Test("Copies of all media of one moment are read by a file alone, whatever moves since")
    func copiesOfOneMoment() throws {
      let moving = try Moving(megabytes: 16) { try $0.writer.random("file", bytes: 8 << 20) }
      let production = try ProductionHost(in: moving.scratch)
      let file = "\(moving.scratch.path)/lv.floe"
      let frozen = try run(
        Floe.program,
        [
          "freeze", moving.volume.path, "--name", "lv", "--state", production.state, "-o", file,
          "--json",
        ])
      try production.serve()
      let report = try JSONDecoder().decode(Frozen.self, from: Data(frozen.utf8))
      let media = try report.media.map { medium in
        let copy = "\(moving.scratch.path)/copy-\(medium.id)"
        try run("dd", ["if=\(medium.path)", "of=\(copy)", "bs=1M", "status=none"])
        return (id: medium.id, path: copy)
      }
      // The live host goes on.
      let mover = try moving.volume.mover()
      try waitUntil("the volume moved") { mover.turns(of: "move") >= 3 }
      try mover.stop()
      let refused = #expect(throws: (any Error).self) {
        try BackupHost(
          production.source("lv"), media: media, in: moving.scratch, name: "refused")
      }
      #expect("\(refused.map { "\($0)" } ?? "")".contains("--answers media"))
      let backup = try BackupHost(
        file, media: media, options: ["--answers", "media"], in: moving.scratch)
      try moving.compare(backup)
      let status = try backup.status()
      #expect(status.errors == 0 && status.answers.production_host == 0, "\(status)")
      try backup.unmount()
    }

    /// What `floe freeze --json` tells of media.
    private struct Frozen: Decodable {
      struct Medium: Decodable {
        let id, path: String
      }

      let media: [Medium]
    }

    @Test("A logical volume that is removed is gone for good, also where nobody can be asked")
    func removed() throws {
      let moving = try Moving(megabytes: 16) { try $0.writer.random("file", bytes: 1 << 20) }
      let file = "\(moving.scratch.path)/lv.floe"
      try run(Floe.program, ["freeze", moving.volume.path, "-o", file])
      let backup = try BackupHost(file, media: [], in: moving.scratch)
      try moving.compare(backup)
      try moving.volume.lvm("lvremove", "-y", moving.volume.path)
      try run("sh", ["-c", "echo 1 >/proc/sys/vm/drop_caches"])
      let lost = try attempt("cat", ["\(backup.mountpoint)/file"])
      #expect(lost.errors.contains("Stale file handle"), "\(lost)")
      let status = try attempt(Floe.program, ["status", backup.mountpoint])
      #expect(status.ending == .exited(2), "\(status)")
      #expect(status.output.contains("was removed from its group"), "\(status)")
      try backup.unmount()
    }
  }
}
