import FoundationEssentials
import FrozenImage
import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// What floe tells people and machines about an image.
  @Suite("Explanations", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Explanations {
    @Test("explain prints a dd line that reads the same bytes without floe")
    func explain() throws {
      let site = try Site(small: .raid0)
      let backup = try site.mount()
      for (name, offset) in [
        ("storage/fragmented", 9_437_184 + 123), ("storage/no-checksums/fragmented", 70_000),
      ] {
        let text = try run(
          Floe.program, ["explain", "\(backup.mountpoint)/\(name)", "\(offset)"])
        let lines = text.split(separator: "\n").map { $0.drop { $0 == " " } }
        let line = try #require(lines.first { $0.hasPrefix("dd ") }, "\(text)")
        let bytes = "\(site.scratch.path)/bytes"
        try run("sh", ["-c", "\(line) >\(bytes)"])
        let read = try readFile(bytes)
        let file = try readFile("\(site.snapshot)/\(name)")
        #expect(!read.isEmpty)
        let start = offset - offset % 4096
        #expect(read[...] == file[start..<min(start + read.count, file.count)], "\(text)")
        // People see a digest of each witness.
        for witness in try backup.status().configuration_id.split(separator: ".") {
          #expect(text.contains(try digest(ofWitness: witness)), "\(text)")
        }
      }
      try backup.unmount()
    }

    /// The CRC-32C of bytes in hexadecimal.
    private func digest(ofWitness text: Substring) throws -> String {
      var rest = text
      var bytes: [UInt8] = []
      while !rest.isEmpty {
        bytes.append(try #require(UInt8(rest.prefix(2), radix: 16)))
        rest = rest.dropFirst(2)
      }
      let digits = String(bytes.withUnsafeBytes { CRC32C.checksum($0) }, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }

    @Test("The short form of a configuration ID tells one state from the next")
    func shortConfigurationID() throws {
      let site = try Site(.single, megabytes: 512, serves: false) { try $0.buildSmall() }
      var seen: Set<String> = []
      for number in 0..<4 {
        let file = "\(site.scratch.path)/\(number).floe"
        try run("touch", ["\(site.volume.mountpoint)/commit\(number)"])
        try site.volume.sync()
        try run(
          Floe.program,
          [
            "freeze", site.source, "--name", "state-\(number)", "-o", file, "--state",
            site.production.state,
          ])
        let text = try run(Floe.program, ["inspect", file])
        let line = text.split(separator: "\n").first { $0.hasPrefix("configuration ID") }
        seen.insert(String(try #require(line)))
      }
      #expect(seen.count == 4, "\(seen)")
    }

    @Test("inspect names the media; images lists the image")
    func inspect() throws {
      let site = try Site(small: .raid1, megabytes: 512)
      let source = site.production.source(Site.image)
      for form in [[], ["--json"]] {
        let text = try run(Floe.program, ["inspect", source] + form)
        for device in site.volume.devices { #expect(text.contains(device.medium), "\(text)") }
        let file = try run(Floe.program, ["inspect", source, "/storage/fragmented"] + form)
        #expect(file.contains("25165824"), "\(file)")
        let images = try run(
          Floe.program, ["images", "--state", site.production.state] + form)
        #expect(images.contains(Site.image), "\(images)")
        if form.contains("--json") {
          for json in [text, file, images] {
            #expect(throws: Never.self) { try JSONSerializable.check(json) }
          }
        }
      }
    }

    @Test("status counts the bytes of every path")
    func statusBytes() throws {
      let site = try Site(small: .raid1)
      let backup = try site.mount()
      _ = try readFile("\(backup.mountpoint)/storage/compressed")
      let compressed = try backup.status()
      #expect(compressed.bytes.storage >= 1_000_000)
      #expect(compressed.bytes.production_host == 0)
      // Nobody can tell which copy of a mirror is stale.
      _ = try readFile("\(backup.mountpoint)/storage/no-checksums/small")
      let unsummed = try backup.status()
      #expect(unsummed.bytes.production_host >= 100_001)
      _ = try readFile("\(backup.mountpoint)/storage/fragmented")
      let stored = try backup.status()
      #expect(stored.bytes.storage >= 24 << 20)
      #expect(stored.bytes.production_host == unsummed.bytes.production_host)
      #expect(stored.witness_checks > 0)
      #expect(stored.image.contains(Site.image))
      try backup.unmount()
    }
  }
}

/// Whether a text is JSON at all.
private enum JSONSerializable: Decodable {
  case any

  init(from decoder: any Decoder) throws { self = .any }

  static func check(_ text: String) throws {
    _ = try JSONDecoder().decode(JSONSerializable.self, from: Data(text.utf8))
  }
}
