import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// What `floe images` shows.
  @Suite("Image list", .tags(.needsRoot))
  struct ImageList {
    @Test("The oldest image is first, with its date and size")
    func order() throws {
      let scratch = try Scratch()
      let production = try ProductionHost(in: scratch)
      let disk = "\(scratch.path)/raw.img"
      try run("dd", ["if=/dev/urandom", "of=\(disk)", "bs=1M", "count=1"])
      let names = ["b", "c", "a", "d"]
      for name in names {
        try run(
          Floe.program,
          ["freeze", disk, "--assume-frozen", "--name", name, "--state", production.state])
      }
      let text = try production.floe("images").output
      let lines = text.split(separator: "\n")
      #expect(lines.map { String($0.prefix { $0 != " " }) } == names, "\(text)")
      let year = try run("date", ["+%Y-%m-"]).dropLast()
      for line in lines {
        #expect(line.contains("  \(year)"), "\(line)")
        #expect(line.contains(" kB  "), "\(line)")
      }
      let json = try production.floe("images", "--json").output
      for key in ["created_seconds", "representation_bytes", "silent_sessions"] {
        #expect(json.contains(key), "\(json)")
      }
    }
  }
}
