import FoundationEssentials
import TestTags
import Testing

extension EndToEnd {
  /// `floe list` and `floe find`: what is in an image, without a mount.
  @Suite("Lists of files", .tags(.needsRoot, .needsLoopDevices))
  struct Lists {
    private func lines(_ site: Site, _ words: String...) throws -> [String] {
      var words = words
      words.insert(site.production.source(Site.image), at: 1)
      return try run(Floe.program, words).split(separator: "\n").map(String.init)
    }

    @Test("Every entry is listed once, as find(1) lists the snapshot")
    func complete() throws {
      let site = try Site(.single, megabytes: 1024) { try $0.buildPortable(fragmented: 1 << 20) }
      let source = site.production.source(Site.image)
      let out = "\(site.scratch.path)/out"
      // Names of any bytes, one behind the other with a zero byte.
      let script = """
        "$1" list "$2" --recursive -0 | sort -z >"$4.ours"
        (cd "$3" && find . -mindepth 1 -print0) | sort -z >"$4.theirs"
        cmp "$4.ours" "$4.theirs"
        for shard in 1 2 3; do "$1" list "$2" -r -0 --shard $shard/3; done | sort -z | cmp - "$4.ours"
        """
      try run("bash", ["-ec", script, "sh", Floe.program, source, site.snapshot, out])
      // None of them reaches a terminal as it is.
      let shown = try run(Floe.program, ["list", source, "--recursive", "--long"])
      #expect(!shown.unicodeScalars.contains { $0.value < 32 && $0 != "\n" || $0.value == 127 })
      let json = try run(Floe.program, ["list", source, "-r", "--json"])
      struct Row: Decodable {
        let path: String
        let type: String
      }
      let rows = try JSONDecoder().decode([Row].self, from: Data(json.utf8))
      #expect(rows.count == shown.split(separator: "\n").count)
    }

    @Test("Shards have about as many bytes, and keep the names of a file together")
    func shards() throws {
      let site = try Site(.single, megabytes: 1024) { tree in
        try tree.writer.directory("many")
        for number in 0..<400 { try tree.writer.random("many/\(number)", bytes: 20_000) }
        try tree.writer.random("large", bytes: 3_000_000)
        try run("ln", [tree.writer.path("many/0"), tree.writer.path("zero")])
      }
      struct Row: Decodable {
        let path: String
        let size: UInt64
        let type: String
      }
      var sizes: [UInt64] = []
      var home: [String: Int] = [:]
      for shard in 1...4 {
        let json = try run(
          Floe.program,
          [
            "list", site.production.source(Site.image), "-r", "--shard", "\(shard)/4", "--json",
          ])
        let rows = try JSONDecoder().decode([Row].self, from: Data(json.utf8))
        sizes.append(rows.filter { $0.type == "file" }.reduce(0) { $0 + $1.size })
        for row in rows { home[row.path] = shard }
      }
      #expect(home["zero"] == home["many/0"])
      // 11 MB in all: the large file takes a shard for itself, the others share the rest.
      #expect(sizes.max() ?? 0 < 3_300_000, "\(sizes)")
      #expect(sizes.min() ?? 0 > 2_400_000, "\(sizes)")
    }

    @Test("Files are found by path, name, type, time and size")
    func found() throws {
      let site = try Site(.single, megabytes: 1024) { tree in
        try tree.writer.directory("etc")
        try tree.writer.directory("etc/deep.conf")
        try tree.writer.random("etc/deep.conf/a.conf", bytes: 10)
        try tree.writer.random("etc/b.conf", bytes: 5000)
        try tree.writer.random("etc/old", bytes: 5000)
        try run("touch", ["-d", "2001-02-03 04:05:06", tree.writer.path("etc/old")])
        try run("touch", ["-d", "2020-01-01", tree.writer.path("etc/b.conf")])
      }
      #expect(
        try lines(site, "find", "*.conf") == [
          "etc/b.conf", "etc/deep.conf", "etc/deep.conf/a.conf",
        ])
      #expect(try lines(site, "find", "/etc/*.conf", "--type", "d") == ["etc/deep.conf"])
      #expect(
        try lines(site, "find", "--name", "[ab].*", "--size", "-1k") == ["etc/deep.conf/a.conf"])
      #expect(try lines(site, "find", "--size", "5000") == ["etc/b.conf", "etc/old"])
      #expect(
        try lines(site, "find", "--type", "f", "--newer", "2001-02-03")
          == ["etc/b.conf", "etc/deep.conf/a.conf", "etc/old"])
      #expect(
        try lines(site, "find", "--type", "f", "--newer", "2001-02-03 04:05:06")
          == ["etc/b.conf", "etc/deep.conf/a.conf"])
      #expect(try lines(site, "list", "etc") == ["etc/b.conf", "etc/deep.conf", "etc/old"])
      let wrong = try attempt(
        Floe.program, ["find", site.production.source(Site.image), "--newer", "yesterday"])
      #expect(wrong.ending == .exited(1))
      #expect(wrong.errors.contains("“yesterday” cannot be read as a time"), "\(wrong.errors)")
    }
  }
}
