import FoundationEssentials
import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Single things that cannot be read cost no more than themselves, and are named.
  @Suite("Unreadable parts", .tags(.needsRoot, .needsFUSE))
  struct UnreadableParts {
    private struct Part: Decodable, Hashable {
      let path: String
      let part: String
    }

    private struct Report: Decodable {
      let files: UInt64?
      let nodes: UInt64
      let unreadable_count: UInt64
      let unreadable: [Part]
    }

    private func report(_ text: String) throws -> Report {
      try JSONDecoder().decode(Report.self, from: Data(text.utf8))
    }

    /// Of three files and a directory: one inode is gone, one file's blocks lie nowhere.
    private func damagedImage(in scratch: Scratch) throws -> String {
      let content = try scratch.directory("content")
      let image = "\(scratch.path)/image"
      let script = """
        cd \(content); mkdir d; echo good > d/good; echo lost > d/lost
        head -c 9000 /dev/urandom > "$(printf 'd/b\\033ad')"
        truncate -s 16M \(image); mkfs.ext2 -q -F -b 1024 -d \(content) \(image)
        printf 'clri /d/lost\\nsif "/d/b\\033ad" block[3] 100000\\n' \
          | debugfs -w -f /dev/stdin \(image) >/dev/null 2>&1
        """
      try run("bash", ["-ec", script])
      return image
    }

    private let parts: Set<Part> = [
      Part(path: "/d/b\\x1Bad", part: "content"), Part(path: "/d/lost", part: "node"),
    ]

    @Test("freeze, status, inspect and verify name them, and the mount answers EIO")
    func named() throws {
      let scratch = try Scratch()
      let image = try damagedImage(in: scratch)
      let file = "\(scratch.path)/image.floe"
      let outcome = try attempt(Floe.program, ["freeze", image, "-o", file, "--json"])
      #expect(outcome.succeeded, "\(outcome.errors)")
      let lines = outcome.errors.split(separator: "\n").filter { $0.contains("unreadable: ") }
      #expect(lines.count == 2 && lines.contains { $0.contains("/d/lost: ") }, "\(outcome.errors)")
      #expect(!outcome.errors.contains("\u{1B}"))
      let frozen = try report(outcome.output)
      #expect(Set(frozen.unreadable) == parts && frozen.unreadable_count == 2)
      // "files" are regular files: not the directories, nor what nothing is known of.
      // The top, lost+found, d; the two files; the volume's view is not counted.
      #expect(frozen.files == 2 && frozen.nodes == 6, "\(outcome.output)")

      let inspected = try report(run(Floe.program, ["inspect", file, "--json"]))
      #expect(Set(inspected.unreadable) == parts)

      let backup = try BackupHost(file, media: [], in: scratch)
      let status = try run(Floe.program, ["status", backup.mountpoint, "--json"])
      #expect(status.contains("\"unreadable_count\" : 2") && status.contains("/d/lost"))
      #expect(try readFile("\(backup.mountpoint)/d/good") == Array("good\n".utf8))
      #expect(try Set(names(in: "\(backup.mountpoint)/d")).count == 3)
      let lost = try attempt("stat", ["\(backup.mountpoint)/d/lost"])
      #expect(!lost.succeeded && lost.errors.contains("Input/output error"), "\(lost.errors)")
      let bad = try attempt("cat", ["\(backup.mountpoint)/d/b\u{1B}ad"])
      #expect(!bad.succeeded && bad.errors.contains("Input/output error"), "\(bad.errors)")
      // Nothing but the first three blocks is given out.
      #expect(bad.output.utf8.count <= 3072 * 3)
      try backup.unmount()

      let verified = try attempt(Floe.program, ["verify", file, "--json"])
      #expect(!verified.succeeded)
      let manifest = try JSONDecoder().decode(Manifest.self, from: Data(verified.output.utf8))
      #expect(
        manifest.files == frozen.files && manifest.unreadable.count == 2, "\(verified.output)")
    }

    private struct Manifest: Decodable {
      struct Finding: Decodable {
        let path: String
      }

      let files: UInt64
      let unreadable: [Finding]
    }

    @Test("--strict refuses such an image and leaves what was there")
    func strict() throws {
      let scratch = try Scratch()
      let image = try damagedImage(in: scratch)
      let file = "\(scratch.path)/image.floe"
      try run(Floe.program, ["freeze", image, "-o", file])
      let before = try readFile(file)
      let refused = try attempt(Floe.program, ["freeze", image, "-o", file, "--strict", "--force"])
      #expect(!refused.succeeded && refused.errors.contains("/d/lost"), "\(refused.errors)")
      #expect(try readFile(file) == before)
      let production = try ProductionHost(in: scratch)
      #expect(try !production.floe("freeze", image, "--name", "a", "--strict").succeeded)
      #expect(try !production.floe("images").output.contains("a "))
    }
  }
}
