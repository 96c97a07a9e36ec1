import FoundationEssentials
import TestTags
import Testing

extension EndToEnd {
  /// `floe verify`: a whole image against its data checksums, with a signed manifest.
  @Suite("Verification", .tags(.needsRoot, .needsLoopDevices))
  struct Verification {
    private struct Finding: Decodable {
      let path: String
      let reason: String
    }

    private struct Report: Decodable {
      let files: UInt64
      let bytes: UInt64
      let configuration_ids_crossed: UInt64
      let remaps: UInt64
      let mismatches: [Finding]
      let mismatch_count: Int
      let unreadable: [Finding]
    }

    private func report(_ path: String) throws -> Report {
      try JSONDecoder().decode(Report.self, from: Data(readFile(path)))
    }

    @Test("A whole image passes while it moves, and its manifest is signed")
    func soundImage() throws {
      let site = try Site(small: .raid1)
      let key = "\(site.scratch.path)/key.pem"
      let manifest = "\(site.scratch.path)/manifest.json"
      try run("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-out", key])
      try run("openssl", ["ec", "-in", key, "-pubout", "-out", "\(key).public"])
      let mover = try site.mover()
      try mover.waitForTurns(1)
      try run(
        Floe.program,
        ["verify", site.production.source(Site.image), "-o", manifest, "--sign-with", key])
      try mover.stop()
      let report = try report(manifest)
      // 200 small files, five larger ones.
      #expect(report.files == 205)
      #expect(report.configuration_ids_crossed > 0)
      #expect(report.mismatches.isEmpty && report.unreadable.isEmpty)
      let check = ["dgst", "-sha256", "-verify", "\(key).public", "-signature", "\(manifest).sig"]
      try run("openssl", check + [manifest])
      try run("sed", ["-i", "s/\"files\"/\"Files\"/", manifest])
      #expect(try !attempt("openssl", check + [manifest]).succeeded)
    }

    @Test("Damage on either leg is reported, with the file and the medium", arguments: [0, 1])
    func damaged(leg: Int) throws {
      let site = try Site(small: .raid1)
      let inspected = try run(
        Floe.program,
        ["inspect", site.production.source(Site.image), "storage/fragmented", "--json"])
      struct Chain: Decodable {
        struct Run: Decodable {
          struct Copy: Decodable {
            let medium: String
            let offset: UInt64
          }
          let copies: [Copy]
        }
        let runs: [Run]
      }
      let chain = try JSONDecoder().decode(Chain.self, from: Data(inspected.utf8))
      let copies = try #require(chain.runs.first?.copies)
      try #require(copies.count == 2)
      let copy = copies[leg]
      let device = try #require(
        site.volume.devices.enumerated().first { copy.medium == "devid \($0.offset + 1)" }?.element)
      try run(
        "dd",
        [
          "if=/dev/urandom", "of=\(device.image)", "bs=512", "count=1", "conv=notrunc",
          "seek=\(copy.offset / 512)",
        ])
      let manifest = "\(site.scratch.path)/manifest.json"
      let outcome = try attempt(
        Floe.program, ["verify", site.production.source(Site.image), "-o", manifest])
      #expect(!outcome.succeeded)
      let report = try report(manifest)
      #expect(report.mismatches.map(\.path) == ["/storage/fragmented"])
      #expect(report.mismatch_count == 1)
      #expect(report.mismatches.first?.reason.contains(device.loop) == true)
      // The other leg had the bytes.
      #expect(report.unreadable.isEmpty)
    }
  }
}
