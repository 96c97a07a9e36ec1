import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// The files of `-o`.
  @Suite("Output files", .tags(.needsRoot, .needsFUSE))
  struct OutputFiles {
    private func freezable(_ scratch: Scratch) throws -> String {
      try Ext4Image.make(in: scratch, megabytes: 16) { try $0.writer.random("f", bytes: 9999) }
    }

    @Test("freeze -o and verify -o replace no file unless forced")
    func noOverwriting() throws {
      let scratch = try Scratch()
      let image = try freezable(scratch)
      let file = "\(scratch.path)/image.floe"
      try writeFile(file, Array("precious".utf8))
      let refused = try attempt(Floe.program, ["freeze", image, "-o", file])
      #expect(!refused.succeeded)
      #expect(refused.errors.contains("\(file) is there already"), "\(refused.errors)")
      #expect(refused.errors.contains("--force"), "\(refused.errors)")
      #expect(try readFile(file) == Array("precious".utf8))
      try run(Floe.program, ["freeze", image, "-o", file, "--force"])
      let representation = try readFile(file)
      #expect(try !attempt(Floe.program, ["freeze", image, "-o", file]).succeeded)
      #expect(try readFile(file) == representation)

      let manifest = "\(scratch.path)/manifest"
      try run(Floe.program, ["verify", file, "-o", manifest])
      let again = try attempt(Floe.program, ["verify", file, "-o", manifest])
      #expect(!again.succeeded)
      #expect(again.errors.contains("\(manifest) is there already"), "\(again.errors)")
      try run(Floe.program, ["verify", file, "-o", manifest, "--force"])
      #expect(try names(in: scratch.path).sorted().filter { $0.hasPrefix(".") } == [])
    }

    @Test("No link that somebody placed is written through")
    func links() throws {
      let scratch = try Scratch()
      let image = try freezable(scratch)
      let file = "\(scratch.path)/image.floe"
      try run(Floe.program, ["freeze", image, "-o", file])
      let key = "\(scratch.path)/key.pem"
      try run("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-out", key])
      let victim = "\(scratch.path)/victim"
      try writeFile(victim, Array("untouched".utf8))
      // In a directory such as /tmp, where others may make links.
      let shared = try scratch.directory("shared")
      let manifest = "\(shared)/manifest"
      for name in ["manifest.partial", "manifest.sig.partial", "manifest.new"] {
        try #require(symlink(victim, "\(shared)/\(name)") == 0)
      }
      try run(Floe.program, ["verify", file, "-o", manifest, "--sign-with", key])
      #expect(try readFile(victim) == Array("untouched".utf8))
      for link in ["direct", "direct.sig"] {
        try #require(symlink(victim, "\(shared)/\(link)") == 0)
      }
      for words in [
        ["verify", file, "-o", "\(shared)/direct"], ["freeze", image, "-o", "\(shared)/direct"],
      ] {
        for force in [[], ["--force"]] {
          let refused = try attempt(Floe.program, words + force)
          #expect(!refused.succeeded)
          #expect(refused.errors.contains("symbolic link"), "\(refused.errors)")
        }
      }
      let archive = try attempt(
        "env",
        [
          "FLOE=\(Floe.program)", "\(Floe.repository)/mount-scripts/backup-tar", file,
          "\(shared)/manifest.tar", "--at", "\(scratch.path)/mnt",
        ])
      #expect(archive.succeeded, "\(archive.errors)")
      #expect(try readFile(victim) == Array("untouched".utf8))
    }
  }
}
